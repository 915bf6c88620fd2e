//! Bakes a digest of the sources into the extension, so that start-up can refuse a stale build. The Python twin is
//! `auralink.media.native_build`; both must walk the same files in the same order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

/// The crates the extension is made of.
const CRATES: [&str; 4] = ["media", "media-net", "native", "prefetch"];

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = vec![PathBuf::from("Cargo.lock"), PathBuf::from("Cargo.toml")];
    for name in CRATES {
        let folder = Path::new("crates").join(name);
        files.push(folder.join("Cargo.toml"));
        if root.join(&folder).join("build.rs").exists() {
            files.push(folder.join("build.rs"));
        }
        rust_files(&root, &folder.join("src"), &mut files)?;
    }
    files.sort();
    println!("cargo:rustc-env=AURALINK_SOURCE_DIGEST={}", digest(&root, &files)?);
    for name in CRATES {
        println!("cargo:rerun-if-changed=../{name}");
    }
    println!("cargo:rerun-if-changed=../../Cargo.lock");
    println!("cargo:rerun-if-changed=../../Cargo.toml");
    Ok(())
}

fn rust_files(root: &Path, folder: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            rust_files(root, &path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    Ok(())
}

/// Over each file's path, length and content, so that moving text between files shows.
fn digest(root: &Path, files: &[PathBuf]) -> io::Result<String> {
    let mut hash = Sha1::new();
    for file in files {
        let content = fs::read(root.join(file))?;
        hash.update(format!("{}\0{}\0", file.display(), content.len()));
        hash.update(&content);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
