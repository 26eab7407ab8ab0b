//! Reading a backup and finding what is wrong with it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path};

use cunlian_crdt::store::check_copy;
use serde::Serialize;

use super::digest::hash_file;
use super::{AdminError, DATA, FORMAT, MANIFEST, MANIFEST_HASH, Manifest, STORE, io_error};

/// What a check of a backup found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// What the backup says about itself.
    pub manifest: Manifest,
    /// What is wrong; empty when it is sound.
    pub problems: Vec<String>,
}

/// Reads all of a backup. `progress` is told the bytes read so far and those there are.
pub fn check(backup: &Path, mut progress: impl FnMut(u64, u64)) -> Result<Checked, AdminError> {
    let manifest = read_manifest(backup)?;
    let all: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let data = backup.join(DATA);
    let mut problems = Vec::new();
    let mut read = 0;
    for file in &manifest.files {
        let hashed = hash_file(&data.join(&file.path), |piece| {
            read += piece.len() as u64;
            progress(read, all);
            Ok(())
        });
        match hashed {
            Ok((bytes, blake3)) if (bytes, blake3.as_str()) == (file.bytes, &*file.blake3) => {}
            Ok(_) => problems.push(format!("{} is not what was backed up", file.path)),
            Err(error) => problems.push(format!("{}: {error}", file.path)),
        }
    }
    let listed: BTreeSet<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    let mut there = Vec::new();
    list(&data, Path::new(""), &mut there)?;
    let foreign = there.iter().filter(|path| !listed.contains(path.as_str()));
    problems.extend(foreign.map(|path| format!("{path} is not in the manifest")));
    if problems.is_empty() {
        match check_copy(&data.join(STORE)) {
            Ok((copy, wrong)) if copy == manifest.store => problems.extend(wrong),
            Ok(_) => problems.push("the store is not the one of the manifest".to_owned()),
            Err(fault) => problems.push(fault.to_string()),
        }
    }
    Ok(Checked { manifest, problems })
}

/// The manifest of a backup, after checking its own hash.
pub(super) fn read_manifest(backup: &Path) -> Result<Manifest, AdminError> {
    let path = backup.join(MANIFEST);
    let hint = "name the directory that cunlian backup has printed";
    let text = fs::read(&path).map_err(|error| io_error(&path, error).hint(hint))?;
    let hash_path = backup.join(MANIFEST_HASH);
    let hash = fs::read_to_string(&hash_path).map_err(|error| io_error(&hash_path, error))?;
    let damaged = |what: &str| {
        io_error(&path, what).hint("the backup is damaged; use another, or make a new one")
    };
    if hash.split_whitespace().next() != Some(&*blake3::hash(&text).to_hex()) {
        return Err(damaged("the manifest does not have its hash"));
    }
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| damaged(&format!("not a manifest of this version: {error}")))?;
    if manifest.format != FORMAT {
        return Err(io_error(&path, format!("the format is {:?}", manifest.format))
            .hint("use the version of cunlian that made it"));
    }
    let inside = |path: &str| {
        let mut parts = Path::new(path).components().peekable();
        parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    if let Some(file) = manifest.files.iter().find(|file| !inside(&file.path)) {
        return Err(damaged(&format!("{:?} is not a path inside of the backup", file.path)));
    }
    Ok(manifest)
}

fn list(data: &Path, below: &Path, found: &mut Vec<String>) -> Result<(), AdminError> {
    let directory = data.join(below);
    let entries = fs::read_dir(&directory).map_err(|error| io_error(&directory, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| io_error(&directory, error))?;
        let relative = below.join(entry.file_name());
        let kind = entry.file_type().map_err(|error| io_error(&entry.path(), error))?;
        if kind.is_dir() {
            list(data, &relative, found)?;
        } else {
            found.push(relative.to_string_lossy().into_owned());
        }
    }
    Ok(())
}
