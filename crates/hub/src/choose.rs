//! Chooses the files of a repository that a name refers to.

use happy_gguf::SplitName;

use crate::error::Error;
use crate::listing::Listed;

/// The purpose of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The model, or a part of it.
    Model,
    /// The projector that turns images or sound into embeddings (`mmproj`).
    Projector,
    /// An adapter (LoRA).
    Adapter,
}

impl Role {
    /// Returns the role of a file by its name, or `None` for files that no model needs, such as importance matrices.
    pub fn of_name(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let has = |word: &str| words(&name).any(|w| w == word);
        if name.contains("mmproj") {
            Some(Self::Projector)
        } else if name.contains("imatrix") || has("vocab") {
            None
        } else if has("lora") || has("adapter") {
            Some(Self::Adapter)
        } else {
            Some(Self::Model)
        }
    }
}

/// The order of preference for names without a quantization: small enough for a phone, and good.
const USUAL: &[&str] =
    &["Q4_K_M", "Q4_0", "Q4_K_S", "IQ4_NL", "Q5_K_M", "Q8_0", "MXFP4", "BF16", "F16", "F32"];

/// The order of preference for projectors. They are small and sensitive, so the most precise comes first, except for F32, which is no
/// better.
const USUAL_PROJECTORS: &[&str] = &["F16", "BF16", "Q8_0", "F32"];

/// A model in one file or in several parts.
#[derive(Clone, Debug)]
struct Group<'a> {
    /// The path without number and ending.
    stem: String,
    parts: Vec<&'a Listed>,
    /// The number of parts, from the names.
    count: u32,
}

/// Returns the files of the model with the quantization `quant`, or with the usual one, in the order of their parts.
pub(crate) fn model<'a>(
    files: &'a [Listed],
    quant: Option<&str>,
    what: &str,
) -> Result<Vec<&'a Listed>, Error> {
    let groups = groups(files, Role::Model);
    let missing = |problem: String| Error::NotFound { what: what.to_owned(), problem };
    if groups.is_empty() {
        return Err(missing("no .gguf file of a model".into()));
    }
    let found = match quant {
        Some(quant) => with_quant(&groups, quant),
        None if groups.len() == 1 => groups.iter().collect(),
        None => USUAL
            .iter()
            .map(|quant| with_quant(&groups, quant))
            .find(|found| !found.is_empty())
            .unwrap_or_default(),
    };
    let names = |groups: &mut dyn Iterator<Item = &Group<'_>>| {
        groups.take(40).map(|group| crate::error::shown(&group.stem)).collect::<Vec<_>>().join(", ")
    };
    match found[..] {
        [group] => complete(group, what),
        [] => Err(missing(format!(
            "no file with quantization {}, found: {}",
            quant.unwrap_or("Q4_K_M or another usual one"),
            names(&mut groups.iter())
        ))),
        _ => Err(Error::Ambiguous { what: what.to_owned(), found: names(&mut found.iter().copied()) }),
    }
}

/// Returns the files of the model to which `file` belongs: the file itself, or all parts.
pub(crate) fn set_of<'a>(files: &'a [Listed], file: &str, what: &str) -> Result<Vec<&'a Listed>, Error> {
    let wanted = files.iter().find(|listed| listed.path == file);
    let wanted = wanted.ok_or_else(|| {
        let problem = format!("no file `{}`", crate::error::shown(file));
        Error::NotFound { what: what.to_owned(), problem }
    })?;
    match part_paths(file) {
        None => Ok(vec![wanted]),
        Some(paths) => {
            let parts =
                paths.iter().filter_map(|path| files.iter().find(|listed| listed.path == *path)).collect();
            complete(&Group { stem: file.to_owned(), parts, count: paths.len() as u32 }, what)
        }
    }
}

/// Returns the paths of all parts of the split model to which `file` belongs, or `None` if it is a whole model.
pub(crate) fn part_paths(file: &str) -> Option<Vec<String>> {
    /// No repository has more, but a name could claim 99,999.
    const MAX_PARTS: u32 = 1_000;
    let (folder, name) = file.rsplit_once('/').map_or(("", file), |(folder, name)| (folder, name));
    let split = SplitName::parse(name).filter(|split| (2..=MAX_PARTS).contains(&split.count()))?;
    let path =
        |name: SplitName| if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") };
    Some((1..=split.count()).filter_map(|no| split.with_no(no)).map(path).collect())
}

/// Returns the projector for a model, from the same folder or the top folder of the repository.
pub(crate) fn projector<'a>(files: &'a [Listed], beside: &str, what: &str) -> Result<&'a Listed, Error> {
    let folder = |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    let groups = groups(files, Role::Projector);
    let near: Vec<_> = groups
        .into_iter()
        .filter(|group| group.count == 1 && [folder(beside), String::new()].contains(&folder(&group.stem)))
        .collect();
    let usual = USUAL_PROJECTORS
        .iter()
        .find_map(|quant| with_quant(&near, quant).first().map(|group| (*group).clone()));
    let group = usual.or_else(|| near.first().cloned());
    group.and_then(|group| group.parts.first().copied()).ok_or_else(|| Error::NotFound {
        what: what.to_owned(),
        problem: "no projector (mmproj) beside the model".into(),
    })
}

fn complete<'a>(group: &Group<'a>, what: &str) -> Result<Vec<&'a Listed>, Error> {
    if group.parts.len() == group.count as usize {
        return Ok(group.parts.clone());
    }
    let (name, found, count) = (crate::error::shown(&group.stem), group.parts.len(), group.count);
    let problem = format!("`{name}` is a split model, found {found} of {count} parts");
    Err(Error::NotFound { what: what.to_owned(), problem })
}

/// Groups the files of a role by model. `files` is sorted by path, so parts are in order.
fn groups(files: &[Listed], role: Role) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for file in files.iter().filter(|file| Role::of_name(&file.path) == Some(role)) {
        let (folder, name) = file.path.rsplit_once('/').map_or(("", &*file.path), |(f, n)| (f, n));
        let split = SplitName::parse(name).filter(|split| split.count() > 1);
        let stem = split
            .as_ref()
            .map_or_else(|| name.get(..name.len().saturating_sub(5)).unwrap_or(name), SplitName::prefix);
        let stem = if folder.is_empty() { stem.to_owned() } else { format!("{folder}/{stem}") };
        let count = split.map_or(1, |split| split.count());
        match groups.iter_mut().find(|group| group.count == count && count > 1 && group.stem == stem) {
            Some(group) => group.parts.push(file),
            None => groups.push(Group { stem, parts: vec![file], count }),
        }
    }
    groups
}

/// Returns the groups whose name has `quant` as its last word. If no group does, returns those that have it as any word.
fn with_quant<'g, 'a>(groups: &'g [Group<'a>], quant: &str) -> Vec<&'g Group<'a>> {
    let quant = quant.to_ascii_lowercase();
    let at_end = |group: &&Group<'_>| {
        let stem = group.stem.to_ascii_lowercase();
        let before = stem.strip_suffix(&quant).map(|before| before.chars().next_back());
        before.is_some_and(|last| last.is_none_or(|c| matches!(c, '-' | '.' | '_' | '/')))
    };
    let found: Vec<_> = groups.iter().filter(at_end).collect();
    // `UD-Q4_K_XL` ends with `Q4_K_XL`. But if there are both `UD-Q4_K_M` and `Q4_K_M`, the plain one is meant.
    let plain: Vec<_> = found
        .iter()
        .copied()
        .filter(|group| !group.stem.to_ascii_lowercase().ends_with(&format!("ud-{quant}")))
        .collect();
    if !plain.is_empty() {
        return plain;
    }
    if !found.is_empty() {
        return found;
    }
    let within = |group: &&Group<'_>| words(&group.stem.to_ascii_lowercase()).any(|word| word == quant);
    groups.iter().filter(within).collect()
}

/// Splits a name at dashes, dots and slashes: `a-1.5b-q4_k_m` contains `q4_k_m`.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(['-', '.', '/'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<Listed> {
        let mut files: Vec<Listed> =
            paths.iter().map(|path| Listed { path: (*path).into(), size: 1, sha256: None }).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    fn chosen(paths: &[&str], quant: Option<&str>) -> Result<Vec<String>, String> {
        let files = files(paths);
        let found = model(&files, quant, "o/r").map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|file| file.path.clone()).collect())
    }

    #[test]
    fn the_quantization_is_found_in_names_of_all_publishers() {
        let paths = [
            "LFM2-350M-Q4_0.gguf",
            "LFM2-350M-Q4_K_M-hip-optimized.gguf",
            "LFM2-350M-Q4_K_M.gguf",
            "LFM2-350M-UD-Q4_K_M.gguf",
            "LFM2-350M-Q4_K_S.gguf",
            "LFM2-350M-F16.gguf",
            "imatrix.gguf",
            "mmproj-F16.gguf",
            "some-lora-F16.gguf",
        ];
        for (quant, file) in [
            (None, "LFM2-350M-Q4_K_M.gguf"),
            (Some("q4_k_m"), "LFM2-350M-Q4_K_M.gguf"),
            (Some("UD-Q4_K_M"), "LFM2-350M-UD-Q4_K_M.gguf"),
            (Some("f16"), "LFM2-350M-F16.gguf"),
            (Some("Q4_0"), "LFM2-350M-Q4_0.gguf"),
        ] {
            assert_eq!(chosen(&paths, quant), Ok(vec![file.to_owned()]), "{quant:?}");
        }
        // `Q4_K` is part of four names, but not the whole quantization of any.
        assert!(chosen(&paths, Some("Q4_K")).unwrap_err().contains("LFM2-350M-Q4_K_S"));
        assert_eq!(
            chosen(&["Phi-3.5-mini.Q4_K_M.gguf", "Phi-3.5-mini.Q8_0.gguf"], None).unwrap(),
            ["Phi-3.5-mini.Q4_K_M.gguf"]
        );
        assert_eq!(chosen(&["qwen2.5-q8_0.gguf", "qwen2.5-q2_k.gguf"], None).unwrap(), ["qwen2.5-q8_0.gguf"]);
        assert_eq!(chosen(&["only.gguf"], None).unwrap(), ["only.gguf"]);
        assert!(chosen(&["a-Q2_K.gguf", "b-Q3_K.gguf"], None).is_err());
        assert!(chosen(&["a-Q8_0.gguf", "b-Q8_0.gguf"], None).unwrap_err().contains("several"));
        assert!(chosen(&["mmproj-F16.gguf"], None).is_err());
    }

    #[test]
    fn split_models_are_whole_or_an_error() {
        let parts = [
            "Q8_0/m-Q8_0-00001-of-00003.gguf",
            "Q8_0/m-Q8_0-00002-of-00003.gguf",
            "Q8_0/m-Q8_0-00003-of-00003.gguf",
        ];
        assert_eq!(chosen(&parts, Some("Q8_0")).unwrap(), parts);
        assert!(chosen(&parts[1..], Some("Q8_0")).unwrap_err().contains("2 of 3"));
        let listed = files(&parts);
        assert_eq!(set_of(&listed, parts[1], "o/r").unwrap().len(), 3);
        assert!(set_of(&listed[..2], parts[1], "o/r").is_err());
        assert!(set_of(&listed, "other.gguf", "o/r").is_err());
        assert_eq!(part_paths("a-00001-of-99999.gguf"), None);
    }

    #[test]
    fn companions_are_distinguished_from_models() {
        for (path, role) in [
            ("mmproj-model-f16.gguf", Some(Role::Projector)),
            ("x/model-mmproj.gguf", Some(Role::Projector)),
            ("fun-lora.gguf", Some(Role::Adapter)),
            ("explorative.gguf", Some(Role::Model)),
            ("m.imatrix.gguf", None),
        ] {
            assert_eq!(Role::of_name(path), role, "{path}");
        }
        let listed = files(&[
            "m.gguf",
            "mmproj-BF16.gguf",
            "mmproj-F16.gguf",
            "mmproj-F32.gguf",
            "x/mmproj-Q8_0.gguf",
        ]);
        assert_eq!(projector(&listed, "m.gguf", "o/r").unwrap().path, "mmproj-F16.gguf");
        assert_eq!(projector(&listed[4..], "x/m.gguf", "o/r").unwrap().path, "x/mmproj-Q8_0.gguf");
        assert!(projector(&listed[4..], "m.gguf", "o/r").is_err());
    }
}
