//! What a verification found, for a person: a line for each backup, then what is wrong.

use std::io::{self, Write};

use formats::proof::Proof;

use super::table::{Cell, Column, Table};

const COLUMNS: [Column; 5] = [
    Column { name: "backup_name", heading: "BACKUP NAME" },
    Column { name: "result", heading: "RESULT" },
    Column { name: "objects", heading: "OBJECTS" },
    Column { name: "bytes", heading: "BYTES" },
    Column { name: "findings", heading: "FINDINGS" },
];

/// Nothing but the heading is printed of an empty list.
pub fn proofs(proofs: &[Proof], out: &mut impl Write) -> io::Result<()> {
    let row = |proof: &Proof| {
        let findings = proof.findings.len() as u64 + proof.more_findings;
        let cell = |text: String| Cell::text(&text);
        let result = if proof.ok { "ok" } else { "DAMAGED" };
        vec![
            cell(proof.backup.to_string()),
            cell(result.to_owned()),
            cell(proof.objects.to_string()),
            cell(proof.bytes.to_string()),
            cell(findings.to_string()),
        ]
    };
    Table { columns: &COLUMNS, rows: proofs.iter().map(row).collect() }.write_plain(out)?;
    for proof in proofs.iter().filter(|proof| !proof.ok) {
        writeln!(out, "\n{} is damaged:", proof.backup)?;
        for finding in &proof.findings {
            writeln!(out, "  {}: {}", finding.object, finding.problem)?;
        }
        if proof.more_findings > 0 {
            writeln!(out, "  and {} more", proof.more_findings)?;
        }
        let backups: Vec<_> = proof.affected_backups.iter().map(|name| name.as_str()).collect();
        write_names(out, "backups that cannot be restored", &backups)?;
        let points: Vec<_> = proof.affected_restore_points.iter().map(String::as_str).collect();
        write_names(out, "restore points out of reach", &points)?;
    }
    Ok(())
}

fn write_names(out: &mut impl Write, title: &str, names: &[&str]) -> io::Result<()> {
    if names.is_empty() { Ok(()) } else { writeln!(out, "  {title}: {}", names.join(", ")) }
}
