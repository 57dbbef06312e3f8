//! What the app tells of the device, for the governors of all sessions.

use crate::capi::android;
use crate::failure::{Failure, Outcome};
use happy_engine::governor::{Source, ThermalStatus};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What was told last.
#[derive(Clone, Copy)]
struct Told {
    headroom: Option<f64>,
    status: Option<ThermalStatus>,
    battery_saver: Option<bool>,
}

static TOLD: Mutex<Told> = Mutex::new(Told { headroom: None, status: None, battery_saver: None });

fn told() -> Told {
    *TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes what the app knows: the thermal headroom (NaN: unknown), Android's number of the thermal status (-1: unknown), and whether the
/// battery saver is on (-1: unknown).
///
/// # Errors
/// If a number is something else.
pub fn tell(headroom: f32, status: i32, battery_saver: i32) -> Outcome<()> {
    let wrong = |what: &str, found: &dyn std::fmt::Display, expected: &str| {
        Failure::argument(format!("{what} is {found}, expected {expected}"))
    };
    if headroom.is_infinite() || headroom < 0.0 {
        return Err(wrong("the headroom", &headroom, "0 or more, or NaN if it is unknown"));
    }
    let known = ThermalStatus::from_number(status);
    if known.is_none() && status != -1 {
        return Err(wrong("the thermal status", &status, "0 to 6, or -1 if it is unknown"));
    }
    let saver = match battery_saver {
        -1 => None,
        0 | 1 => Some(battery_saver == 1),
        _ => return Err(wrong("the battery saver", &battery_saver, "0, 1, or -1 if it is unknown")),
    };
    let headroom = Some(f64::from(headroom)).filter(|headroom| !headroom.is_nan());
    *TOLD.lock().unwrap_or_else(PoisonError::into_inner) =
        Told { headroom, status: known, battery_saver: saver };
    Ok(())
}

/// A source that knows what the app told.
struct App;

impl Source for App {
    fn headroom(&mut self, _: Duration) -> Option<f64> {
        told().headroom
    }

    fn status(&mut self) -> Option<ThermalStatus> {
        told().status
    }

    fn battery_saver(&mut self) -> Option<bool> {
        told().battery_saver
    }
}

/// What is known of the device: what the app told, then what the system tells.
pub(super) fn source() -> Box<dyn Source + Send> {
    Box::new((App, android::source()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_app_tells_counts_until_it_tells_something_else() {
        let mut source = source();
        tell(0.7, 2, 1).unwrap();
        assert!(source.headroom(Duration::ZERO).is_some_and(|headroom| (headroom - 0.7).abs() < 1e-6));
        assert_eq!((source.status(), source.battery_saver()), (Some(ThermalStatus::Moderate), Some(true)));
        for (headroom, status, saver, part) in [
            (f32::INFINITY, 0, 0, "headroom is inf"),
            (-0.5, 0, 0, "headroom is -0.5"),
            (0.5, 7, 0, "status is 7, expected 0 to 6"),
            (0.5, 0, 2, "saver is 2, expected 0, 1"),
        ] {
            assert!(
                tell(headroom, status, saver).is_err_and(|failure| failure.message.contains(part)),
                "{part}"
            );
        }
        assert_eq!(source.battery_saver(), Some(true), "what is wrong changes nothing");
        tell(f32::NAN, -1, -1).unwrap();
        assert!(source.headroom(Duration::ZERO).is_none() && source.battery_saver().is_none());
    }
}
