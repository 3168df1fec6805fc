//! What servers warned of: shown once, acted upon never.

use std::sync::Mutex;

/// A server with more to say than this is not heard.
const WARNINGS_MAX: usize = 100;

/// Each text, and whether the person has been told.
#[derive(Default)]
pub struct Warnings(Mutex<Vec<(String, bool)>>);

impl Warnings {
    pub fn add(&self, text: String) {
        let mut all = self.0.lock().expect("no holder panics");
        if all.len() < WARNINGS_MAX && !all.iter().any(|(known, _)| *known == text) {
            all.push((text, false));
        }
    }

    pub fn take(&self) -> Vec<String> {
        let mut all = self.0.lock().expect("no holder panics");
        let news = all.iter_mut().filter(|(_, told)| !told);
        news.map(|(text, told)| {
            *told = true;
            text.clone()
        })
        .collect()
    }
}
