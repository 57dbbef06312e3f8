//! Selects the devices of a run, and checks that they can run what is built.

use crate::adb::{Adb, Device, Listed};
use crate::complaint;
use happy_tool_kit::Result;

/// The processor for which everything is built, by Android's name.
const ABI: &str = "arm64-v8a";

/// Returns the device with this serial number, or all that are connected. A device that cannot be used has a reason
/// instead.
///
/// If adb does not know a serial number with a port (`192.168.0.5:5555`), it is connected to first.
pub(crate) fn select(adb: &Adb, serial: Option<&str>) -> Result<Vec<Result<Device>>> {
    let mut listed = adb.devices()?;
    if let Some(serial) = serial {
        if listed.iter().all(|device| device.serial != serial) && serial.contains(':') {
            adb.connect(serial)?;
            listed = adb.devices()?;
        }
        return match listed.iter().find(|device| device.serial == serial) {
            Some(device) => Ok(vec![Ok(ready(adb, device)?)]),
            None => Err(absent(serial, &listed)),
        };
    }
    if listed.is_empty() {
        return Err("no device is connected: plug one in, switch on USB debugging in its developer options, and accept this computer on its screen".into());
    }
    Ok(listed.iter().map(|device| ready(adb, device)).collect())
}

fn ready(adb: &Adb, device: &Listed) -> Result<Device> {
    if device.state == "device" {
        return Ok(adb.device(&device.serial));
    }
    Err(complaint::sentence(&device.serial, "be used", &device.state))
}

fn absent(serial: &str, listed: &[Listed]) -> String {
    if listed.is_empty() {
        return format!("no device {serial}: none is connected");
    }
    let names: Vec<&str> = listed.iter().map(|device| device.serial.as_str()).collect();
    format!("no device {serial}: connected are {}", names.join(", "))
}

/// Describes the device for a person. Returns an error if it cannot run programs for [`ABI`] or for Android API
/// `platform`.
pub(crate) fn examine(device: &Device, platform: Option<u32>) -> Result<String> {
    let properties =
        ["ro.product.cpu.abilist", "ro.product.model", "ro.build.version.release", "ro.build.version.sdk"];
    let script: Vec<String> = properties.iter().map(|name| format!("getprop {name}")).collect();
    let text = device.shell(&script.join("\n"))?;
    let mut lines = text.lines().map(str::trim);
    let mut next = || lines.next().unwrap_or_default();
    let (abis, model, release, sdk) = (next(), next(), next(), next());
    judge(&device.serial, abis, sdk, platform)?;
    Ok(format!("{} ({model}, Android {release}, {abis})", device.serial))
}

fn judge(serial: &str, abis: &str, sdk: &str, platform: Option<u32>) -> Result<()> {
    if !abis.split(',').any(|abi| abi == ABI) {
        return Err(format!("device {serial} runs programs for {abis}, and these are for {ABI}"));
    }
    match (platform, sdk.parse::<u32>()) {
        (Some(platform), Ok(sdk)) if sdk < platform => Err(format!(
            "device {serial} has Android API {sdk}, and these programs need {platform}: build them with `--platform {sdk}` or `--target musl`"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_judged_by_processor_and_system() {
        let cases: &[(&str, &str, Option<u32>, Option<&str>)] = &[
            ("arm64-v8a,armeabi-v7a", "35", Some(26), None),
            ("arm64-v8a", "24", Some(26), Some("API 24")),
            ("arm64-v8a", "24", None, None),
            ("arm64-v8a", "", Some(26), None),
            ("x86_64,x86", "35", None, Some("runs programs for x86_64,x86")),
            ("armeabi-v7a", "26", None, Some("armeabi-v7a")),
            ("", "", None, Some("arm64-v8a")),
        ];
        let mut wrong = Vec::new();
        for (abis, sdk, platform, expected) in cases {
            let found = judge("S1", abis, sdk, *platform);
            let right = match expected {
                None => found.is_ok(),
                Some(part) => found.as_ref().is_err_and(|e| e.contains(part)),
            };
            if !right {
                wrong.push(format!("{abis} {sdk} {platform:?}: {found:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn an_absent_device_is_told_beside_those_that_are_there() {
        let listed = ["a", "b"].map(|serial| Listed { serial: serial.into(), state: "device".into() });
        assert_eq!(absent("S1", &listed), "no device S1: connected are a, b");
        assert_eq!(absent("S1", &[]), "no device S1: none is connected");
    }
}
