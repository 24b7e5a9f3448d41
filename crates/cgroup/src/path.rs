//! Paths of cgroups: text, never resolved, never leaving what they are below.

/// The components of `path` below a root that `..` cannot leave, each with a slash before it;
/// empty for the root itself.
///
/// ```text
/// "a/./b/../c"   ->  "/a/c"
/// "../../../x"   ->  "/x"
/// "/"            ->  ""
/// ```
pub(crate) fn clean(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 1);
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => out.truncate(out.rfind('/').unwrap_or(0)),
            name => {
                out.push('/');
                out.push_str(name);
            }
        }
    }
    out
}

/// The directory that `path` is in; a path has no trailing slash here, and `""` is the root.
pub(crate) fn parent(path: &str) -> &str {
    &path[..path.rfind('/').unwrap_or(0)]
}

/// May `name` be the name of one file?
pub(crate) fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// Undoes the escapes of `/proc/PID/mountinfo`: `\040` is a space.
pub(crate) fn unescape(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_owned();
    }
    let bytes = field.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let code = (bytes[i] == b'\\')
            .then(|| field.get(i + 1..i + 4))
            .flatten()
            .and_then(|octal| u8::from_str_radix(octal, 8).ok());
        match code {
            Some(byte) => {
                out.push(byte);
                i += 4;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_never_leave_the_root() {
        for (given, cleaned) in [
            ("", ""),
            ("/", ""),
            ("a", "/a"),
            ("/a/", "/a"),
            ("a//b", "/a/b"),
            ("./a/./b", "/a/b"),
            ("a/../b", "/b"),
            ("../../../etc", "/etc"),
            ("/../..", ""),
            ("a/../../b/..", ""),
            ("a/...", "/a/..."),
            ("..a/b..", "/..a/b.."),
        ] {
            assert_eq!(clean(given), cleaned, "{given:?}");
        }
    }

    #[test]
    fn parents() {
        assert_eq!(parent("/a/b"), "/a");
        assert_eq!(parent("/a"), "");
        assert_eq!(parent(""), "");
    }

    #[test]
    fn escapes_of_mountinfo() {
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
        assert_eq!(unescape("/a\\04"), "/a\\04");
        assert_eq!(unescape("/\\303\\251"), "/é");
        assert_eq!(unescape("/é\\é"), "/é\\é");
    }

    #[test]
    fn file_names() {
        assert!(is_file_name("cpu.max"));
        for bad in ["", ".", "..", "a/b", "../cpu.max", "/etc/passwd", "a\0"] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
    }
}
