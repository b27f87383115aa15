//! What the generated field checks are written with.

/// A message that can say which of its fields break the contract's bounds.
pub trait Check {
    /// Notes every field that is missing, too long, out of range or of no known value. `path` is the place of
    /// this message inside the request, empty at the top.
    fn check(&self, path: &str, found: &mut Found);

    /// All violations of a request, as (field path, what is expected).
    fn violations(&self) -> Vec<(String, String)> {
        let mut found = Found::default();
        self.check("", &mut found);
        found.0
    }
}

/// The violations found so far, as (field path, what is expected).
#[derive(Debug, Default)]
pub struct Found(Vec<(String, String)>);

/// The path of a field inside the message at `path`.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

// === impl Found ===

impl Found {
    fn add(&mut self, path: &str, name: &str, expected: String) {
        self.0.push((join(path, name), expected));
    }

    pub(crate) fn present(&mut self, path: &str, name: &str, given: bool) {
        if !given {
            self.add(path, name, "is required".to_owned());
        }
    }

    pub(crate) fn length(
        &mut self,
        path: &str,
        name: &str,
        length: usize,
        min: usize,
        max: usize,
        required: bool,
    ) {
        if length == 0 {
            self.present(path, name, !required);
        } else if max > 0 && length > max {
            self.add(path, name, format!("is {length} bytes long, at most {max} are allowed"));
        } else if length < min {
            self.add(path, name, format!("is {length} bytes long, at least {min} are needed"));
        }
    }

    pub(crate) fn items(&mut self, path: &str, name: &str, count: usize, max: usize, required: bool) {
        if count > max {
            self.add(path, name, format!("has {count} items, at most {max} are allowed"));
        }
        self.present(path, name, count > 0 || !required);
    }

    pub(crate) fn range(&mut self, path: &str, name: &str, value: i64, min: i64, max: i64) {
        if value < min || value > max {
            self.add(path, name, format!("is {value}, from {min} to {max} is allowed"));
        }
    }

    pub(crate) fn known(&mut self, path: &str, name: &str, known: bool) {
        if !known {
            self.add(path, name, "is not a value of its enum".to_owned());
        }
    }

    pub(crate) fn uuid(&mut self, path: &str, name: &str, text: &str) {
        const DASHES: [usize; 4] = [8, 13, 18, 23];
        let shaped = text.len() == 36
            && text.bytes().enumerate().all(|(place, byte)| {
                if DASHES.contains(&place) { byte == b'-' } else { byte.is_ascii_hexdigit() }
            });
        if !shaped {
            self.add(path, name, "must be a UUID such as 018f3b4e-7c1d-7a52-9a55-3f1f3cf0d0aa".to_owned());
        }
    }
}
