//! What storage and connection code may ask for: settings first, then the environment.

use settings::Settings;

/// WAL-G takes YAML here; the storage wants JSON.
const HEADERS: [&str; 3] =
    ["S3_REQUEST_ADDITIONAL_HEADERS", "WALG_S3_REQUEST_ADDITIONAL_HEADERS", "WALE_S3_REQUEST_ADDITIONAL_HEADERS"];

/// The value of `name`. Names that are no settings (HOME, what cloud libraries read) come from the environment; an empty
/// variable counts as unset.
pub fn lookup(settings: &Settings) -> impl Fn(&str) -> Option<String> + '_ {
    |name| {
        let own = || std::env::var(name).ok().filter(|value| !value.is_empty());
        if HEADERS.contains(&name) {
            let text = settings.get(name)?;
            return Some(settings::yaml_as_json(text).unwrap_or_else(|| text.to_owned()));
        }
        let given = settings.get(name).map(str::to_owned);
        // What is a setting was looked for in the environment when the settings were loaded.
        given.or_else(|| if settings::find(name).is_some() { None } else { own() })
    }
}
