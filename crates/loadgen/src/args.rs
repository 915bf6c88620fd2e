//! Command-line options, `--name value` each.

use std::collections::BTreeMap;
use std::str::FromStr;

pub struct Args {
    values: BTreeMap<String, String>,
}

impl Args {
    /// Refuses options the command does not know.
    pub fn parse(words: &[String], known: &[&str]) -> Result<Args, String> {
        let mut values = BTreeMap::new();
        for pair in words.chunks(2) {
            let [name, value] = pair else { return Err(format!("{} needs a value", pair.join(" "))) };
            let Some(name) = name.strip_prefix("--").filter(|name| known.contains(name)) else {
                return Err(format!("unknown option {name}; known: --{}", known.join(", --")));
            };
            values.insert(name.to_owned(), value.clone());
        }
        Ok(Args { values })
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub fn required(&self, name: &str) -> Result<&str, String> {
        self.text(name).ok_or_else(|| format!("--{name} is needed"))
    }

    pub fn get<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        self.optional(name).map(|value| value.unwrap_or(default))
    }

    pub fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let parse = |text: &str| text.parse().map_err(|_| format!("--{name}: {text:?} is not a usable value"));
        self.text(name).map(parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn unknown_options_missing_values_and_bad_numbers_are_refused() {
        assert!(Args::parse(&words("--colour red"), &["size"]).is_err());
        assert!(Args::parse(&words("--size"), &["size"]).is_err());
        let args = Args::parse(&words("--size big"), &["size"]);
        assert!(args.is_ok_and(|args| args.get("size", 1u32).is_err() && args.required("size") == Ok("big")));
    }
}
