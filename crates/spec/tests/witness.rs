//! What real engines write, read by these types and by `oci-spec`: both must see the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the corpus is read from files")]

use std::path::Path;

fn corpus() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    assert!(files.len() > 10, "the corpus is gone");
    files
}

#[test]
fn what_these_types_read_and_write_is_what_the_witness_reads() {
    for (name, bytes) in corpus() {
        if name.starts_with("process-") {
            let ours: spec::Process<'_> = spec::parse(&bytes).unwrap();
            let again = serde_json::to_vec(&ours).unwrap();
            assert_eq!(ours, spec::parse(&again).unwrap(), "{name}");
            continue;
        }
        let ours: spec::Spec<'_> = spec::parse(&bytes).unwrap();
        let theirs: oci_spec::runtime::Spec = serde_json::from_slice(&bytes).unwrap();
        let process = theirs.process().as_ref().unwrap();
        let own = ours.process.as_ref().unwrap();
        let text = |list: &[spec::Text<'_>]| list.iter().map(ToString::to_string).collect();
        let args: Vec<String> = text(&own.args);
        let env: Vec<String> = text(&own.env);
        assert_eq!(process.args().clone().unwrap_or_default(), args, "{name}");
        assert_eq!(process.env().clone().unwrap_or_default(), env, "{name}");
        assert_eq!(process.user().uid(), own.user.uid, "{name}");
        let mounts = theirs.mounts().clone().unwrap_or_default();
        assert_eq!(mounts.len(), ours.mounts.len(), "{name}");
        for (theirs, ours) in mounts.iter().zip(&ours.mounts) {
            assert_eq!(theirs.destination().to_str(), Some(ours.destination.as_str()), "{name}");
            let options: Vec<String> = text(&ours.options);
            assert_eq!(theirs.options().clone().unwrap_or_default(), options, "{name}");
        }
        let (theirs, ours) = (theirs.linux().as_ref().unwrap(), ours.linux.as_ref().unwrap());
        let masked: Vec<String> = text(&ours.masked_paths);
        assert_eq!(theirs.masked_paths().clone().unwrap_or_default(), masked, "{name}");
        let calls = theirs.seccomp().as_ref().and_then(|s| s.syscalls().clone());
        let own_calls = ours.seccomp.as_ref().map_or(0, |s| s.syscalls.len());
        assert_eq!(calls.unwrap_or_default().len(), own_calls, "{name}");
    }
}

#[test]
fn strings_are_borrowed_from_the_input() {
    for (name, bytes) in corpus().into_iter().filter(|(name, _)| !name.starts_with("process-")) {
        let config: spec::Spec<'_> = spec::parse(&bytes).unwrap();
        let borrowed = |text: &spec::Text<'_>| matches!(text.0, std::borrow::Cow::Borrowed(_));
        assert!(config.mounts.iter().all(|mount| borrowed(&mount.destination)), "{name}");
        assert!(config.linux.unwrap().masked_paths.iter().all(borrowed), "{name}");
    }
}

#[test]
fn a_mistake_is_found_where_it_is() {
    let text = b"{\n  \"process\": {\n    \"user\": { \"uid\": \"root\" }\n  }\n}";
    let error = spec::parse::<spec::Spec<'_>>(text).unwrap_err();
    assert_eq!((error.line, error.path.as_str()), (3, "process.user.uid"));
    assert!(error.to_string().contains("invalid type: string \"root\""), "{error}");
}

#[test]
fn null_means_absent() {
    let text = b"{\"ociVersion\": \"1.0.2\", \"mounts\": null, \"process\": null, \"linux\": {\"seccomp\": null}}";
    let config: spec::Spec<'_> = spec::parse(text).unwrap();
    assert!(config.mounts.is_empty() && config.process.is_none());
}

#[test]
fn what_is_not_text_is_named() {
    let error = spec::parse::<spec::Spec<'_>>(b"{\n\"a\": \"\xff\"}").unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 7: not valid UTF-8");
}

#[test]
fn a_list_is_no_object() {
    for (text, place) in [
        ("[]", ""),
        (r#"{"process": []}"#, "process"),
        (r#"{"process": {"user": [0, 0]}}"#, "process.user"),
        (r#"{"mounts": [["/", "/"]]}"#, "mounts[0]"),
        (r#"{"linux": {"resources": {"memory": [1]}}}"#, "linux.resources.memory"),
    ] {
        let error = spec::parse::<spec::Spec<'_>>(text.as_bytes()).unwrap_err();
        assert!(error.message.starts_with("invalid type: sequence, expected struct"), "{error}");
        assert!(error.path.starts_with(place), "{text}: {error}");
    }
}
