//! Reads ldirectord.cf: `name = value` lines, those of a virtual service indented below it.

/// The file as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct File {
    pub global: Settings,
    pub services: Vec<Service>,
    pub notes: Vec<String>,
}

/// A virtual service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub line: usize,
    pub address: String,
    pub settings: Settings,
    pub reals: Vec<Real>,
}

/// A real server, or a range of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Real {
    pub line: usize,
    pub address: String,
    /// `gate`, `masq`, `ipip`.
    pub method: String,
    pub weight: Option<u32>,
    pub request: Option<String>,
    pub receive: Option<String>,
}

/// Names and values, with their lines, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings(Vec<(usize, String, String)>);

impl Settings {
    /// The value that counts: the last one.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(_, known, _)| known == name);
        found.map(|(.., value)| value.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        self.0
            .iter()
            .map(|(line, name, value)| (*line, name.as_str(), value.as_str()))
    }
}

pub(super) fn read(text: &str) -> File {
    let mut file = File::default();
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let indented = line.starts_with([' ', '\t']);
        let line = uncommented(line).trim();
        if line.is_empty() {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            file.notes
                .push(format!("line {number}: '{line}' is not 'name = value'"));
            continue;
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == "virtual" {
            file.services.push(Service {
                line: number,
                address: value.to_owned(),
                settings: Settings::default(),
                reals: Vec::new(),
            });
        } else if !indented {
            file.global.0.push((number, name, unquoted(value).to_owned()));
        } else if let Some(service) = file.services.last_mut() {
            if name == "real" {
                service.reals.push(real(number, value));
            } else {
                service
                    .settings
                    .0
                    .push((number, name, unquoted(value).to_owned()));
            }
        } else {
            file.notes
                .push(format!("line {number}: '{name}' belongs to no virtual service"));
        }
    }
    file
}

/// Without a comment that no quotes surround.
fn uncommented(line: &str) -> &str {
    let mut quoted = false;
    for (at, character) in line.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '#' if !quoted => return line.get(..at).unwrap_or_default(),
            _ => {}
        }
    }
    line
}

fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value)
}

/// `ADDRESS[->ADDRESS][:PORT] METHOD [WEIGHT] ["REQUEST"[, "RECEIVE"]]`
fn real(line: usize, value: &str) -> Real {
    let (head, texts) = value.split_at(value.find('"').unwrap_or(value.len()));
    let mut words = head.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    let address = words.next().unwrap_or_default().to_owned();
    let method = words.next().unwrap_or("gate").to_ascii_lowercase();
    let weight = words.next().and_then(|word| word.parse().ok());
    let mut texts = texts.split('"').skip(1).step_by(2).map(str::to_owned);
    Real {
        line,
        address,
        method,
        weight,
        request: texts.next(),
        receive: texts.next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let file = read(
            "# c\ncheckinterval = 10 # d\nvirtual=192.0.2.1:80\n\treceive=\"a # b\"\n\n    real=192.0.2.2->192.0.2.4:80 masq 5 \"x y\", \"z\"\n  nonsense\n",
        );
        assert_eq!(file.global.get("checkinterval"), Some("10"));
        let service = &file.services[0];
        assert_eq!(service.settings.get("receive"), Some("a # b"));
        let real = &service.reals[0];
        assert_eq!(real.address, "192.0.2.2->192.0.2.4:80");
        assert_eq!(
            (real.method.as_str(), real.weight, real.line),
            ("masq", Some(5), 6)
        );
        assert_eq!(
            (real.request.as_deref(), real.receive.as_deref()),
            (Some("x y"), Some("z"))
        );
        assert_eq!(file.notes, ["line 7: 'nonsense' is not 'name = value'"]);
    }
}
