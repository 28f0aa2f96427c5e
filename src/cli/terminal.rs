//! Progress and errors on stderr: spinners on a terminal, plain lines in a pipe, JSON lines with `--json`.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use console::Style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::error::Error;
use crate::progress::{Progress, ProgressEvent};

/// The shortest time between two lines about a long step in a pipe.
const QUIET: Duration = Duration::from_secs(10);

/// The format of the progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProgressFormat {
    Spinners,
    Plain,
    Json,
}

/// stderr.
#[derive(Clone)]
pub struct Terminal {
    format: ProgressFormat,
}

impl Terminal {
    /// Chooses the format: JSON if asked for, spinners on a terminal, else plain lines.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let format = match (json, std::io::stderr().is_terminal() && !dumb) {
            (true, _) => ProgressFormat::Json,
            (false, true) => ProgressFormat::Spinners,
            (false, false) => ProgressFormat::Plain,
        };
        Self { format }
    }

    /// The receiver of progress events.
    #[must_use]
    pub fn progress(&self) -> Progress {
        match self.format {
            ProgressFormat::Json => Progress::new(|event| line(&serde_json::to_string(&event).unwrap_or_default())),
            ProgressFormat::Plain => {
                let last_line = Mutex::new(Instant::now());
                Progress::new(move |event| plain(&event, &last_line))
            }
            ProgressFormat::Spinners => {
                let live = Mutex::new(Spinners::default());
                Progress::new(move |event| live.lock().unwrap_or_else(PoisonError::into_inner).handle(event))
            }
        }
    }

    /// Prints, as JSON, why arguments were refused. Clap's first paragraph is the message, the rest is the hint.
    pub fn invalid_arguments(&self, error: &clap::Error) {
        let text = error.to_string();
        let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
        let message = message.strip_prefix("error: ").unwrap_or(message);
        json_error(message, rest.trim(), error.exit_code());
    }

    /// Prints an error and its hint.
    pub fn error(&self, error: &Error) {
        let hint = error.hint();
        if self.format == ProgressFormat::Json {
            json_error(&error.to_string(), &hint, error.exit_code().into());
            return;
        }
        line(&format!("{} {error}", Style::new().for_stderr().red().bold().apply_to("error:")));
        if !hint.is_empty() {
            line(&format!("{} {hint}", Style::new().for_stderr().cyan().apply_to("hint:")));
        }
    }
}

/// An error as a line of JSON.
fn json_error(message: &str, hint: &str, exit_code: i32) {
    line(&json!({"event": "error", "message": message, "hint": hint, "exit_code": exit_code}).to_string());
}

/// Writes a line to stderr. Errors are ignored, because there is no other place to report them.
fn line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn plain(event: &ProgressEvent, last_line: &Mutex<Instant>) {
    let mut last_line = last_line.lock().unwrap_or_else(PoisonError::into_inner);
    let text = match event {
        ProgressEvent::Detail { step, text } if last_line.elapsed() >= QUIET => Some(format!("… {step}: {text}")),
        ProgressEvent::Started { .. } | ProgressEvent::Detail { .. } => None,
        ended => Some(ended_line(ended)),
    };
    if let Some(text) = text {
        line(&text);
        *last_line = Instant::now();
    }
}

/// The line that remains of an event.
fn ended_line(event: &ProgressEvent) -> String {
    let dim = Style::new().for_stderr().dim();
    match event {
        ProgressEvent::Done { step, seconds, result } => {
            let mark = Style::new().for_stderr().green().apply_to("✓");
            let result = result.as_ref().map(|result| format!(" ({result})")).unwrap_or_default();
            format!("{mark} {step}{result}  {}", dim.apply_to(duration(*seconds)))
        }
        ProgressEvent::Failed { step, seconds } => {
            let mark = Style::new().for_stderr().red().apply_to("✗");
            format!("{mark} {step}  {}", dim.apply_to(duration(*seconds)))
        }
        ProgressEvent::Note { text } => text.clone(),
        ProgressEvent::Started { step } => format!("… {step}"),
        ProgressEvent::Detail { step, text } => format!("… {step}: {text}"),
    }
}

/// "1.9 s", "5 min 12 s".
#[must_use]
pub fn duration(seconds: f64) -> String {
    if seconds < 100.0 {
        return format!("{seconds:.1} s");
    }
    let whole = Duration::from_secs_f64(seconds).as_secs();
    format!("{} min {} s", whole / 60, whole % 60)
}

/// A spinner for each running step, with the finished steps above.
#[derive(Default)]
struct Spinners {
    bars: MultiProgress,
    steps: HashMap<String, ProgressBar>,
}

impl Spinners {
    fn handle(&mut self, event: ProgressEvent) {
        match event {
            ProgressEvent::Started { step } => {
                let bar = self.bars.add(ProgressBar::new_spinner().with_style(spinner()).with_message(step.clone()));
                bar.enable_steady_tick(Duration::from_millis(100));
                self.steps.insert(step, bar);
            }
            ProgressEvent::Detail { step, text } => {
                if let Some(bar) = self.steps.get(&step) {
                    bar.set_message(format!("{step}: {text}"));
                }
            }
            ProgressEvent::Done { ref step, .. } | ProgressEvent::Failed { ref step, .. } => {
                if let Some(bar) = self.steps.remove(step) {
                    bar.finish_and_clear();
                    self.bars.remove(&bar);
                }
                self.print(&event);
            }
            ProgressEvent::Note { .. } => self.print(&event),
        }
    }

    fn print(&self, event: &ProgressEvent) {
        self.bars.suspend(|| line(&ended_line(event)));
    }
}

fn spinner() -> ProgressStyle {
    let style = ProgressStyle::with_template("{spinner:.cyan} {wide_msg} {elapsed:.dim}");
    style
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_strings(&["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", " "])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_seconds_and_minutes() {
        assert_eq!(duration(0.04), "0.0 s");
        assert_eq!(duration(1.94), "1.9 s");
        assert_eq!(duration(312.4), "5 min 12 s");
    }

    #[test]
    fn a_step_that_ended_is_one_line_without_escapes() {
        console::set_colors_enabled_stderr(false);
        let done = ProgressEvent::Done { step: "boot".into(), seconds: 1.9, result: Some("3 programs".into()) };
        assert_eq!(ended_line(&done), "✓ boot (3 programs)  1.9 s");
        assert_eq!(ended_line(&ProgressEvent::Failed { step: "boot".into(), seconds: 2.0 }), "✗ boot  2.0 s");
    }
}
