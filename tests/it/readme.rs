//! The documents at the root say nothing that is not so: commands parse, settings exist, named files are there.

use std::path::{Path, PathBuf};
use std::process::Command;

use rig::Stand;

use crate::running::{self, Restored, TWO_CLUSTERS};
use crate::stands;

const DOCUMENTS: [&str; 6] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "COMPATIBILITY.md", "SETTINGS.md"];

/// Programs whose command lines are tried.
const PROGRAMS: [&str; 3] = ["damson", "damson-pg", "damson-agent"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The code blocks of a document: language and text.
fn code_blocks(document: &str) -> Vec<(String, String)> {
    let mut parts = document.split("\n```");
    parts.next();
    let blocks = parts.step_by(2).map(|block| block.split_once('\n').unwrap());
    blocks.map(|(language, text)| (language.to_string(), text.to_string())).collect()
}

fn blocks_of(document: &str, language: &str) -> Vec<String> {
    let blocks = code_blocks(document).into_iter().filter(|(of, _)| of == language);
    blocks.map(|(_, text)| text).collect()
}

/// Words as a shell makes them; good enough for the quotes that documents use.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c.is_whitespace() => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            _ => word.push(c),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// The command lines of our programs in the shell blocks, those inside of archive_command included.
fn command_lines(document: &str) -> Vec<Vec<String>> {
    let text = blocks_of(document, "sh").join("\n").replace("\\\n", " ");
    let of_line = |line: &str| {
        let line = line.split_once("_command = '").map_or(line, |(_, command)| command.trim_end_matches('\''));
        words(line)
    };
    let is_ours = |words: &Vec<String>| words.first().is_some_and(|program| PROGRAMS.contains(&program.as_str()));
    text.lines().map(of_line).filter(is_ours).collect()
}

/// A built program: beside the folder of the running test.
fn program(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join(name);
    assert!(path.is_file(), "{} is not built: run `cargo build --workspace` first", path.display());
    Command::new(path)
}

#[test]
fn command_lines_parse() {
    let lines = command_lines(&read("README.md"));
    assert!(lines.len() >= 9, "{lines:?}");
    for line in lines {
        // Arguments are read up to --help, which ends the program before it does anything.
        let output = program(&line[0]).args(&line[1..]).arg("--help").output().unwrap();
        let (help, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line:?}: {error}");
        let flags = line.iter().filter(|word| word.starts_with("--")).map(|word| word.split('=').next().unwrap());
        for flag in flags {
            assert!(help.contains(flag), "{line:?}: {flag} is not in\n{help}");
        }
    }
}

/// The chapter on the cluster, line by line, on real servers: what stands there works, in that order.
#[test]
fn the_cluster_chapter_works() {
    let readme = read("README.md");
    let start = readme.find("## From install to").unwrap();
    let chapter = &readme[start..start + readme[start..].find("\n## In WAL-G").unwrap()];
    let stand = running::stand("readme");
    rig::load(&stand.cluster);
    let rows = stands::sums(&stand.cluster);
    let config = stand.product.config.to_str().unwrap();
    let mut restored = vec![Restored::new(&stand, stand.plan_restore("restored0"))];
    let mut executed = 0;
    for line in blocks_of(chapter, "sh").join("\n").lines() {
        if let Some((_, command)) = line.split_once("archive_command = '") {
            archive_with(&stand, command.trim_end_matches('\''));
            executed += 1;
        }
        let words = words(line);
        if words.first().is_none_or(|program| program != "damson") {
            continue;
        }
        let fetches = words.iter().any(|word| word == "backup-fetch");
        if fetches || words.iter().any(|word| word == "drill") {
            // The servers of the last one end, and the next one gets places of its own.
            let name = format!("restored{}", restored.len());
            restored.push(Restored::new(&stand, stand.plan_restore(&name)));
        }
        let place = restored.last().unwrap();
        let replace = |word: &String| match word.as_str() {
            "/etc/damson.yaml" => config.to_string(),
            "restore_cfg.json" | "scratch_cfg.json" => place.config().to_string(),
            "damson.prom" => stand.scratch.join("damson.prom").display().to_string(),
            _ => word.clone(),
        };
        let words: Vec<String> = words[1..].iter().map(replace).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        stand.product.run(stand.product.command("damson", &words)).ok_despite(&[TWO_CLUSTERS]);
        executed += 1;
        if fetches {
            let found: Vec<_> = place.servers.iter().map(rig::row_sums).collect();
            assert_eq!(found, rows, "{line}");
            assert_eq!(place.catalog(), place.expected_catalog());
        }
    }
    assert!(executed >= 19 && restored.len() == 4, "{executed} commands");
}

/// Every server archives with this command from now on, and does.
fn archive_with(stand: &Stand, command: &str) {
    let damson = stand.product.path("damson");
    let command = command.replace("/etc/damson.yaml", stand.product.config.to_str().unwrap());
    let command = command.replacen("damson", damson.to_str().unwrap(), 1);
    for server in &stand.cluster.servers {
        let own = command.replace("--content-id=-1", &format!("--content-id={}", server.content));
        server.set("archive_command", &own);
        rig::sql(server, "create table archived_from_now_on(a int)");
        server.archive_wal();
        rig::sql(server, "drop table archived_from_now_on");
    }
}

#[test]
fn settings_exist() {
    let reference = read("SETTINGS.md");
    let text = blocks_of(&read("README.md"), "yaml").join("\n");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<_> = lines.map(|line| line.split(':').next().unwrap()).collect();
    assert!(!names.is_empty());
    for name in names {
        assert!(reference.contains(&format!("| `{name}` |")), "{name} has no effect or does not exist");
    }
}

#[test]
fn the_restore_config_is_one() {
    let blocks = blocks_of(&read("README.md"), "json");
    assert!(!blocks.is_empty());
    for block in blocks {
        let config: serde_json::Value = serde_json::from_str(&block).unwrap();
        for place in config["segments"].as_object().unwrap().values() {
            assert!(
                place["hostname"].is_string() && place["port"].is_u64() && place["data_dir"].is_string(),
                "{place}"
            );
        }
    }
}

/// Links, and whatever looks like a path below a folder of the repository.
#[test]
fn named_files_exist() {
    for document in DOCUMENTS {
        let text = read(document);
        for word in text.split(|c: char| c.is_whitespace() || "`()[]{}'\",;|*".contains(c)) {
            let word = word.trim_end_matches(['.', ':']).split('#').next().unwrap();
            let first = word.split('/').next().unwrap();
            let in_folder = word.contains('/') && !first.is_empty() && first != "target" && root().join(first).is_dir();
            let is_document = word.ends_with(".md") && !word.contains('/') && word.len() > 3;
            if in_folder || is_document {
                assert!(root().join(word).exists(), "{document} names {word}, which does not exist");
            }
        }
    }
}
