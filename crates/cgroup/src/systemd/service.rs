//! Systemd as a service that is asked for units.

use super::bus::{Address, Bus, MANAGER, Trouble, get, to_manager, to_object};
use super::property::Property;
use super::unit::{Instance, Unit};
use super::wire::Writer;
use crate::error::{Error, Result};
use crate::path;

/// A connection to a systemd.
#[derive(Debug)]
pub struct Systemd {
    bus: Bus,
    version: u32,
    control_group: String,
}

/// A unit that systemd was asked to start.
#[derive(Debug)]
pub struct Job {
    unit: Unit,
    properties: Vec<Property>,
    pid: u32,
    call: u32,
}

impl Systemd {
    /// Connects to the machine's systemd, or to the user's.
    ///
    /// Root takes systemd's private socket, so that no bus has to be up or to be asked; a user the
    /// session's bus, and the private socket where there is none.
    ///
    /// # Errors
    /// [`Error::Bus`] if nobody answers.
    pub fn connect(instance: Instance) -> Result<Systemd> {
        let variable =
            |name: &str| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        Systemd::connect_to(&addresses(instance, variable, nix::unistd::getuid().as_raw()))
    }

    pub(crate) fn connect_to(addresses: &[Address]) -> Result<Systemd> {
        let mut troubles = Vec::new();
        for address in addresses {
            match Systemd::greet(address) {
                Ok(systemd) => return Ok(systemd),
                Err(trouble) => troubles.push(format!("{}: {}", name(address), reason(trouble))),
            }
        }
        Err(Error::Bus { troubles })
    }

    fn greet(address: &Address) -> std::result::Result<Systemd, Trouble> {
        let mut bus = Bus::connect(address)?;
        let of_itself = |name| get(MANAGER, "org.freedesktop.systemd1.Manager", name);
        let asked = [bus.queue(&of_itself("Version")), bus.send(&of_itself("ControlGroup"))?];
        let version = version(&text(&mut bus, asked[0])?);
        let control_group = text(&mut bus, asked[1])?;
        Ok(Systemd { bus, version, control_group })
    }

    /// Its version: 252. 0 if it isn't told.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The control group that its units are in; "" is the top.
    pub fn control_group(&self) -> &str {
        &self.control_group
    }

    /// Asks for a unit with a process in it, and doesn't wait.
    ///
    /// # Errors
    /// [`Error::Systemd`] if the connection breaks.
    pub fn start(&mut self, unit: &Unit, pid: u32, properties: Vec<Property>) -> Result<Job> {
        let mut job = Job { unit: unit.clone(), properties, pid, call: 0 };
        self.send_start(&mut job)?;
        Ok(job)
    }

    fn send_start(&mut self, job: &mut Job) -> Result<()> {
        let processes = super::properties::processes(&job.unit, job.pid);
        let mut body = Writer::default();
        body.text(job.unit.name());
        body.text("replace");
        body.array(8, |to| {
            processes.iter().chain(&job.properties).for_each(|property| property.write(to));
        });
        // Units that it needs: none but those that systemd makes itself.
        body.array(8, |_| {});
        let call = to_manager("StartTransientUnit", "ssa(sv)a(sa(sv))", body);
        job.call = self.bus.send(&call).map_err(|trouble| said("start", &job.unit, trouble))?;
        Ok(())
    }

    /// Waits until the unit is there. One of its name that has failed before is forgotten first.
    ///
    /// # Errors
    /// [`Error::Systemd`] for what systemd refuses, [`Error::Job`] if the unit doesn't start,
    /// [`Error::JobTimeout`] after 30 seconds.
    pub fn wait(&mut self, mut job: Job) -> Result<()> {
        let path = match self.bus.answer(job.call) {
            Err(Trouble::Refused { name, .. }) if name.ends_with(".UnitExists") => {
                self.reset_failed(&job.unit);
                self.send_start(&mut job)?;
                self.bus.answer(job.call)
            }
            other => other,
        };
        let path = path.map_err(|trouble| said("start", &job.unit, trouble))?;
        let path = path.reader().text().unwrap_or_default().to_owned();
        let result = self.bus.job_result(&path);
        let unit = job.unit.name().to_owned();
        let failure = match result.map_err(|trouble| said("start", &job.unit, trouble))? {
            Some(result) if result == "done" => return Ok(()),
            Some(result) => Error::Job { unit, result },
            None => Error::JobTimeout { unit },
        };
        self.reset_failed(&job.unit);
        Err(failure)
    }

    /// The control group of a unit; "" if it has none, as one that is not there or has ended.
    ///
    /// # Errors
    /// [`Error::Systemd`] for what systemd refuses.
    pub fn control_group_of(&mut self, unit: &Unit) -> Result<String> {
        let kind = if unit.is_slice() { "Slice" } else { "Scope" };
        let (object, interface) = (object(unit), format!("org.freedesktop.systemd1.{kind}"));
        let asked = self.bus.send(&get(&object, &interface, "ControlGroup"));
        asked
            .and_then(|call| text(&mut self.bus, call))
            .map_err(|trouble| said("find the control group of", unit, trouble))
    }

    /// Stops a unit, and waits until it is gone. One that isn't there is fine.
    ///
    /// # Errors
    /// [`Error::Systemd`] for what systemd refuses, [`Error::JobTimeout`] after 30 seconds. That
    /// a process would not die is none: whoever removes the cgroup finds it.
    pub fn stop(&mut self, unit: &Unit) -> Result<()> {
        let mut body = Writer::default();
        body.text(unit.name());
        body.text("replace");
        let stopped = self
            .bus
            .send(&to_manager("StopUnit", "ss", body))
            .and_then(|call| self.bus.answer(call));
        let job = match stopped {
            Ok(job) => job.reader().text().unwrap_or_default().to_owned(),
            // The last process has left already, and systemd has seen it.
            Err(Trouble::Refused { name, .. }) if name.ends_with(".NoSuchUnit") => return Ok(()),
            Err(trouble) => return Err(said("stop", unit, trouble)),
        };
        let result = self.bus.job_result(&job).map_err(|trouble| said("stop", unit, trouble))?;
        self.reset_failed(unit);
        match result {
            Some(_) => Ok(()),
            None => Err(Error::JobTimeout { unit: unit.name().to_owned() }),
        }
    }

    /// Changes a unit's properties, until the machine is booted again; returns when systemd has
    /// written what follows from them to the cgroup's files.
    ///
    /// # Errors
    /// [`Error::Systemd`] for what systemd refuses.
    pub fn set_properties(&mut self, unit: &Unit, properties: &[Property]) -> Result<()> {
        if properties.is_empty() {
            return Ok(());
        }
        let mut body = Writer::default();
        body.text(unit.name());
        body.u32(1);
        body.array(8, |to| properties.iter().for_each(|property| property.write(to)));
        // It writes them before it looks at the next call.
        let next = to_object(MANAGER, "org.freedesktop.DBus.Peer", "Ping", "", Writer::default());
        let call = self.bus.queue(&to_manager("SetUnitProperties", "sba(sv)", body));
        self.bus
            .send(&next)
            .and_then(|next| self.bus.answer(call).and(self.bus.answer(next)))
            .map_err(|trouble| said("set the properties of", unit, trouble))?;
        Ok(())
    }

    /// Has systemd put a process into the unit's cgroup, or one below, with or without a slash before
    /// it: for a user who may not move it there from where it is.
    ///
    /// # Errors
    /// [`Error::Systemd`] for what systemd refuses.
    pub fn attach(&mut self, unit: &Unit, below: &str, pid: u32) -> Result<()> {
        let mut body = Writer::default();
        body.text(unit.name());
        // Systemd wants an absolute path.
        let below = path::clean(below);
        body.text(if below.is_empty() { "/" } else { &below });
        body.array(4, |to| to.u32(pid));
        self.bus
            .send(&to_manager("AttachProcessesToUnit", "ssau", body))
            .and_then(|call| self.bus.answer(call))
            .map_err(|trouble| said("put a process into", unit, trouble))?;
        Ok(())
    }

    /// Forgets that a unit has failed: it is then gone. That it hasn't is fine.
    pub fn reset_failed(&mut self, unit: &Unit) {
        let mut body = Writer::default();
        body.text(unit.name());
        let call = self.bus.send(&to_manager("ResetFailedUnit", "s", body));
        let _ = call.and_then(|call| self.bus.answer(call));
    }
}

/// The text that a property is.
fn text(bus: &mut Bus, call: u32) -> std::result::Result<String, Trouble> {
    let answer = bus.answer(call)?;
    let mut values = answer.reader();
    let text = values.signature().filter(|kind| *kind == "s").and_then(|_| values.text());
    Ok(text.ok_or_else(|| Trouble::Broken("a property is no text".to_owned()))?.to_owned())
}

/// The object that a unit is: in its name all but letters and digits are `_` and two digits.
fn object(unit: &Unit) -> String {
    let mut path = format!("{MANAGER}/unit/");
    for (at, byte) in unit.name().bytes().enumerate() {
        match byte {
            b'0'..=b'9' if at > 0 => path.push(byte.into()),
            byte if byte.is_ascii_alphabetic() => path.push(byte.into()),
            byte => path.push_str(&format!("_{byte:02x}")),
        }
    }
    path
}

/// Where to look for a systemd, in order.
fn addresses(
    instance: Instance,
    variable: impl Fn(&str) -> Option<String>,
    uid: u32,
) -> Vec<Address> {
    let bus = |name| variable(name).map(Address::Bus);
    match instance {
        Instance::System => vec![
            Address::Private("/run/systemd/private".to_owned()),
            bus("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_else(|| {
                Address::Bus("unix:path=/run/dbus/system_bus_socket".to_owned())
            }),
        ],
        Instance::User => {
            let runtime = variable("XDG_RUNTIME_DIR").unwrap_or(format!("/run/user/{uid}"));
            let own = [
                Address::Bus(format!("unix:path={runtime}/bus")),
                Address::Private(format!("{runtime}/systemd/private")),
            ];
            bus("DBUS_SESSION_BUS_ADDRESS").into_iter().chain(own).collect()
        }
    }
}

/// The first number in what systemd calls its version: `252.39-1~deb12u2`, `v245.4-1.fc32`.
fn version(text: &str) -> u32 {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

fn name(address: &Address) -> &str {
    match address {
        Address::Private(path) => path,
        Address::Bus(address) => address,
    }
}

fn reason(trouble: Trouble) -> String {
    match trouble {
        Trouble::Broken(reason) => reason,
        Trouble::Refused { name, sentence } if sentence.is_empty() => name,
        Trouble::Refused { sentence, .. } => sentence,
    }
}

fn said(request: &'static str, unit: &Unit, trouble: Trouble) -> Error {
    let trouble = match trouble {
        Trouble::Broken(reason) => Trouble::Broken(format!("systemd: {reason}")),
        refused => refused,
    };
    Error::Systemd { request, unit: unit.name().to_owned(), reason: reason(trouble) }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Message, ORDER};
    use super::*;

    #[test]
    fn versions() {
        for text in
            ["252.39-1~deb12u2", "v252.4-1.fc32", "252", "v252-1.fc32", "\"252", "systemd 252"]
        {
            assert_eq!(version(text), 252, "{text}");
        }
        assert_eq!(version("none"), 0);
        assert_eq!(version(""), 0);
    }

    #[test]
    fn units_are_objects() {
        for (name, path) in [
            ("tare-web.scope", "tare_2dweb_2escope"),
            ("1a_b.slice", "_31a_5fb_2eslice"),
            ("a\\x2d@:1.scope", "a_5cx2d_40_3a1_2escope"),
        ] {
            let unit = Unit::stored(name, Instance::System);
            assert_eq!(object(&unit), format!("/org/freedesktop/systemd1/unit/{path}"));
        }
    }

    #[test]
    fn where_systemd_is_looked_for() {
        let none = |_: &str| None;
        let set = |name: &str| Some(format!("/{name}"));
        let private = |path: &str| Address::Private(path.to_owned());
        let bus = |address: &str| Address::Bus(address.to_owned());
        assert_eq!(
            addresses(Instance::System, none, 0),
            [private("/run/systemd/private"), bus("unix:path=/run/dbus/system_bus_socket")]
        );
        assert_eq!(addresses(Instance::System, set, 0)[1], bus("/DBUS_SYSTEM_BUS_ADDRESS"));
        assert_eq!(
            addresses(Instance::User, none, 7),
            [bus("unix:path=/run/user/7/bus"), private("/run/user/7/systemd/private")]
        );
        assert_eq!(
            addresses(Instance::User, set, 7),
            [
                bus("/DBUS_SESSION_BUS_ADDRESS"),
                bus("unix:path=/XDG_RUNTIME_DIR/bus"),
                private("/XDG_RUNTIME_DIR/systemd/private")
            ]
        );
    }

    /// Plays systemd: answers each call by its name, in order, and says which came.
    fn fake(
        script: Vec<(&'static str, Vec<Vec<u8>>)>,
    ) -> (Address, std::thread::JoinHandle<Vec<String>>) {
        use std::io::{Read, Write};
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("fake-systemd-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let address = Address::Private(path.to_str().unwrap().to_owned());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            std::fs::remove_file(path).unwrap();
            let (mut received, mut chunk, mut came) = (Vec::new(), [0; 4096], Vec::new());
            let hello = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
            stream.write_all(b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n").unwrap();
            let mut script = script.into_iter();
            let mut begun = false;
            loop {
                if !begun && received.starts_with(hello) {
                    received.drain(..hello.len());
                    begun = true;
                }
                let call = begun.then(|| Message::parse(&received).unwrap()).flatten();
                if let Some((call, length)) = call {
                    let serial = u32::from_ne_bytes(received[8..12].try_into().unwrap());
                    received.drain(..length);
                    let (member, answers) = script.next().unwrap();
                    assert_eq!(call.member, member);
                    came.push(format!("{member} {}", call.reader().text().unwrap_or_default()));
                    for mut answer in answers {
                        // The field REPLY_SERIAL, if it is one to a call.
                        if answer[1] != 4 {
                            answer[20..24].copy_from_slice(&serial.to_ne_bytes());
                        }
                        stream.write_all(&answer).unwrap();
                    }
                    continue;
                }
                match stream.read(&mut chunk).unwrap() {
                    0 => break,
                    length => received.extend(&chunk[..length]),
                }
            }
            assert!(script.next().is_none());
            came
        });
        (address, thread)
    }

    /// A message of a kind with one text field more than its REPLY_SERIAL.
    fn message(kind: u8, field: (u8, &str, &str), body: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut values = Writer::default();
        body(&mut values);
        let values = values.into_bytes();
        let mut to = Writer::default();
        for byte in [ORDER, kind, 0, 1] {
            to.u8(byte);
        }
        to.u32(values.len() as u32);
        to.u32(1);
        to.array(8, |to| {
            to.u8(5);
            to.signature("u");
            to.u32(0);
            to.structure();
            to.u8(field.0);
            to.signature(field.1);
            if field.1 == "g" { to.signature(field.2) } else { to.text(field.2) }
        });
        to.structure();
        [to.into_bytes(), values].concat()
    }

    fn text_property(text: &str) -> Vec<Vec<u8>> {
        vec![message(2, (8, "g", "v"), |to| {
            to.signature("s");
            to.text(text);
        })]
    }

    fn job(path: &str) -> Vec<u8> {
        message(2, (8, "g", "o"), |to| to.text(path))
    }

    fn removed(path: &str, result: &str) -> Vec<u8> {
        message(4, (3, "s", "JobRemoved"), |to| {
            to.u32(1);
            [path, "x.scope", result].iter().for_each(|text| to.text(text));
        })
    }

    fn error(name: &str) -> Vec<u8> {
        message(3, (4, "s", name), |to| to.text("a sentence"))
    }

    fn with_fake(
        script: Vec<(&'static str, Vec<Vec<u8>>)>,
        act: impl FnOnce(&mut Systemd, &Unit),
    ) -> Vec<String> {
        let start = [("Get", text_property("252.1-2")), ("Get", text_property("/top"))];
        let (address, thread) = fake(start.into_iter().chain(script).collect());
        let mut systemd = Systemd::connect_to(&[address]).unwrap();
        assert_eq!((systemd.version(), systemd.control_group()), (252, "/top"));
        act(&mut systemd, &Unit::parse(Some("a.slice:x:y"), "", Instance::System).unwrap());
        drop(systemd);
        thread.join().unwrap().split_off(2)
    }

    const EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

    #[test]
    fn a_unit_is_waited_for_also_if_its_job_ended_before() {
        let script = vec![("StartTransientUnit", vec![removed("/j/1", "done"), job("/j/1")])];
        let came = with_fake(script, |systemd, unit| {
            let job = systemd.start(unit, 1, Vec::new()).unwrap();
            assert_eq!(systemd.wait(job), Ok(()));
        });
        assert_eq!(came, ["StartTransientUnit x-y.scope"]);
    }

    #[test]
    fn a_leftover_of_its_name_is_reset_once() {
        let script = vec![
            ("StartTransientUnit", vec![error(EXISTS)]),
            ("ResetFailedUnit", vec![message(2, (8, "g", ""), |_| {})]),
            (
                "StartTransientUnit",
                vec![job("/j/2"), removed("/j/1", "x"), removed("/j/2", "done")],
            ),
        ];
        with_fake(script, |systemd, unit| {
            let job = systemd.start(unit, 1, Vec::new()).unwrap();
            assert_eq!(systemd.wait(job), Ok(()));
        });
        let script = vec![
            ("StartTransientUnit", vec![error(EXISTS)]),
            ("ResetFailedUnit", vec![error("x")]),
            ("StartTransientUnit", vec![error(EXISTS)]),
        ];
        with_fake(script, |systemd, unit| {
            let job = systemd.start(unit, 1, Vec::new()).unwrap();
            let error = systemd.wait(job).unwrap_err().to_string();
            assert_eq!(error, "unable to start unit \"x-y.scope\": a sentence");
        });
    }

    #[test]
    fn a_job_that_fails_is_an_error_and_forgotten() {
        let script = vec![
            ("StartTransientUnit", vec![job("/j/2"), removed("/j/2", "failed")]),
            ("ResetFailedUnit", vec![error("x")]),
        ];
        with_fake(script, |systemd, unit| {
            let job = systemd.start(unit, 1, Vec::new()).unwrap();
            let error = systemd.wait(job).unwrap_err().to_string();
            assert_eq!(error, "error creating systemd unit `x-y.scope`: got `failed`");
        });
    }

    #[test]
    fn stopping_what_is_gone_is_fine() {
        let script = vec![
            ("StopUnit", vec![error("org.freedesktop.systemd1.NoSuchUnit")]),
            ("StopUnit", vec![job("/j/3"), removed("/j/3", "done")]),
            ("ResetFailedUnit", vec![error("x")]),
            ("StopUnit", vec![error("org.freedesktop.DBus.Error.AccessDenied")]),
        ];
        with_fake(script, |systemd, unit| {
            assert_eq!(systemd.stop(unit), Ok(()));
            assert_eq!(systemd.stop(unit), Ok(()));
            assert!(systemd.stop(unit).is_err());
        });
    }

    #[test]
    fn properties_are_written_when_they_are_set() {
        let done = || vec![message(2, (8, "g", ""), |_| {})];
        let script = vec![("SetUnitProperties", done()), ("Ping", done())];
        with_fake(script, |systemd, unit| {
            assert_eq!(systemd.set_properties(unit, &[]), Ok(()));
            let property = Property::switch("SendSIGHUP", true);
            assert_eq!(systemd.set_properties(unit, &[property]), Ok(()));
        });
    }

    #[test]
    fn a_unit_is_somewhere() {
        let script = vec![("Get", text_property("/a.slice/x-y.scope")), ("Get", text_property(""))];
        let came = with_fake(script, |systemd, unit| {
            assert_eq!(systemd.control_group_of(unit).unwrap(), "/a.slice/x-y.scope");
            let slice = Unit::stored("a.slice", Instance::System);
            assert_eq!(systemd.control_group_of(&slice).unwrap(), "");
        });
        let asked = ["Scope", "Slice"].map(|kind| format!("Get org.freedesktop.systemd1.{kind}"));
        assert_eq!(came, asked);
    }

    #[test]
    fn nobody_there_is_said_with_each_place() {
        let (address, thread) = fake(vec![("Get", vec![error("x.NameHasNoOwner")])]);
        let nowhere = Address::Bus("unix:path=/nowhere/bus".to_owned());
        let error = Systemd::connect_to(&[nowhere, address]).unwrap_err().to_string();
        assert!(error.starts_with("cannot connect to systemd: unix:path=/nowhere/bus: no such"));
        assert!(error.ends_with(": a sentence"), "{error}");
        // The second question was on its way already.
        assert!(thread.join().is_err());
    }
}
