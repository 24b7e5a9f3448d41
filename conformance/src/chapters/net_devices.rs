//! Network devices of the host that move into the container.

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::Case;
use crate::table::{Test, test};
use crate::verdict::{Verdict, has, is, lacks, needs, that};

/// A network device of the host's that a test has made; it ends with the test, wherever it is.
pub(super) struct Device<'t> {
    t: &'t Case,
    pub(super) name: String,
}

impl<'t> Device<'t> {
    /// A device of whatever virtual kind the kernel has.
    pub(super) fn new(t: &'t Case) -> Verdict<Self> {
        // A device has at most 15 bytes for its name, and tests run beside each other.
        let name = format!("cf{}n{}", std::process::id() % 1_000_000, t.number());
        let kinds = ["dummy", "ifb"];
        let made =
            kinds.iter().any(|kind| t.host(["ip", "link", "add", &name, "type", kind]).is_ok());
        needs(made, "a kernel with dummy or ifb devices")?;
        Ok(Self { t, name })
    }

    fn ip<const N: usize>(&self, words: [&str; N]) -> Verdict<String> {
        self.t.host(["ip"].into_iter().chain(words).chain(["dev", self.name.as_str()]))
    }

    /// A bundle into which it moves.
    fn bundle(&self, device: Value) -> Verdict<Bundle<'t>> {
        Ok(self.t.bundle()?.raw(&format!("/linux/netDevices/{}", self.name), device))
    }

    /// A bundle into whose network namespace, which `holder` holds, it moves.
    pub(super) fn joined(&self, device: Value, holder: u32) -> Verdict<Bundle<'t>> {
        let path = format!("/proc/{holder}/ns/net");
        let host = std::fs::read_link("/proc/self/ns/net")?;
        self.t.until("the holder", || Ok(std::fs::read_link(&path)? != host))?;
        Ok(self.bundle(device)?.join("network", &path))
    }
}

impl Drop for Device<'_> {
    fn drop(&mut self) {
        // In a network namespace it ended with that.
        let _ = self.t.host(["ip", "link", "del", &self.name]);
    }
}

const ALL: &str = "ip addr show";

/// The chapter's tests.
pub(crate) const TESTS: &[Test] = &[
    test("net-device", "spec 1.3: netDevices: a device moves, under its name, and is up", |t| {
        let device = Device::new(t)?;
        let said = device.bundle(json!({}))?.says(&format!("ip addr show dev {}", device.name))?;
        has(&said, &device.name)?;
        has(said, "UP")?;
        that(device.ip(["link", "show"]).is_err(), "it is no longer the host's")
    }),
    test("net-device-renamed", "spec 1.3: netDevices: name", |t| {
        let device = Device::new(t)?;
        let said = device.bundle(json!({ "name": "inside0" }))?.says("ip addr show dev inside0")?;
        has(said, "inside0")
    }),
    test("net-device-attributes", "spec 1.3: its attributes and its addresses come along", |t| {
        let device = Device::new(t)?;
        device.ip(["link", "set", "mtu", "1280"])?;
        // (What /sys shows is the network namespace in which it was mounted.)
        let shown = device.ip(["link", "show"])?;
        let mut words = shown.split_whitespace().skip_while(|word| *word != "link/ether");
        let ethernet = words.nth(1).unwrap_or("no link/ether").to_owned();
        device.ip(["address", "add", "192.0.2.77/28"])?;
        device.ip(["address", "add", "192.0.2.78/28"])?;
        device.ip(["address", "add", "127.0.0.33/32", "scope", "host"])?;
        let said = device.bundle(json!({ "name": "inside0" }))?.says("ip addr show dev inside0")?;
        for part in ["mtu 1280", &*ethernet, "192.0.2.77/28", "192.0.2.78/28"] {
            has(&said, part)?;
        }
        // Only addresses of global scope are the device's own.
        lacks(said, "127.0.0.33")
    }),
    test("net-device-ipv6", "spec 1.3: permanent addresses of any family are preserved", |t| {
        let device = Device::new(t)?;
        device.ip(["link", "set", "up"])?;
        device.ip(["address", "add", "2001:db8::77/64", "nodad"])?;
        has(device.bundle(json!({}))?.says(ALL)?, "2001:db8::77/64")
    }),
    test("net-device-joined", "runc: in a joined namespace it stays after the container", |t| {
        let (device, holder) = (Device::new(t)?, t.keep(["unshare", "--net", "sleep", "60"])?);
        device.ip(["address", "add", "192.0.2.77/32"])?;
        let b = device.joined(json!({ "name": "inside0" }), holder.pid())?;
        has(b.says(ALL)?, "192.0.2.77/32")?;
        let net = format!("--net=/proc/{}/ns/net", holder.pid());
        has(t.host(["nsenter", &net, "ip", "addr", "show", "dev", "inside0"])?, "192.0.2.77/32")
    }),
    test("net-device-template", "spec 1.3: for %d in a new name the kernel puts a number", |t| {
        let device = Device::new(t)?;
        let said = device.bundle(json!({ "name": "tmpl%d" }))?.says(ALL)?;
        has(said, "tmpl0")
    }),
    test("net-device-name-taken", "spec 1.3: a name that is in use there is an error", |t| {
        let device = Device::new(t)?;
        device.bundle(json!({ "name": "lo" }))?.refused(&["exists"])?;
        device.ip(["link", "show"]).map(drop)
    }),
    test("net-device-back", "a create that fails later gives the device back, as it was", |t| {
        let (device, holder) = (Device::new(t)?, t.keep(["unshare", "--net", "sleep", "60"])?);
        device.ip(["address", "add", "192.0.2.77/32"])?;
        device.ip(["link", "set", "up"])?;
        let fails = |b: Bundle<'_>| b.args(["/no/such"]).refused(&["/no/such"]);
        fails(device.bundle(json!({ "name": "inside0" }))?)?;
        has(device.ip(["address", "show"])?, "192.0.2.77/32")?;
        fails(device.joined(json!({ "name": "inside%d" }), holder.pid())?)?;
        let said = device.ip(["address", "show"])?;
        has(&said, "192.0.2.77/32")?;
        has(said, "UP")
    }),
    test("net-device-user-namespace", "a device moves into a user namespace's network", |t| {
        let device = Device::new(t)?;
        let b = device.bundle(json!({}))?.user_namespace(100_000).owned_by(100_000)?;
        has(b.says(ALL)?, &device.name)
    }),
    test("net-device-sysctl", "a sysctl of the device that moves can be set", |t| {
        let device = Device::new(t)?;
        let b = device.bundle(json!({ "name": "inside0" }))?;
        let b = b.raw("/linux/sysctl", json!({ "net.ipv4.conf.inside0.forwarding": "1" }));
        is(b.says("cat /proc/sys/net/ipv4/conf/inside0/forwarding")?.as_str(), "1")
    }),
    test("net-device-missing", "runc: a device that isn't there is refused by its name", |t| {
        t.bundle()?
            .raw("/linux/netDevices/nosuch0", json!({}))
            .refused(&["link not found", "nosuch0"])
    }),
    test("net-device-without-namespace", "runc: devices need a network namespace", |t| {
        let b = t.bundle()?.share("network").raw("/linux/netDevices/lo", json!({}));
        b.refused(&["unable to move network devices without a NET namespace"])
    }),
    test("net-device-name-invalid", "runc: invalid network device name", |t| {
        let device = Device::new(t)?;
        for name in ["a/b", "a b", ".."] {
            device
                .bundle(json!({ "name": name }))?
                .refused(&["invalid network device name", name])?;
        }
        device.ip(["link", "show"]).map(drop)
    }),
];
