//! What `delete` of a cluster prints.

use std::collections::BTreeMap;

use formats::{ContentId, layout};
use segment_agent::cli::print_summary;
use segment_agent::retain::report::{self, Outcome, Part, Summary};

use super::plan::ClusterPlan;
use crate::error::{Error, Result};

/// Prints the plan and what became of it; an error if a part of it could not be made or carried out.
pub fn conclude(plan: &ClusterPlan, json: bool, outcome: Outcome, failures: &BTreeMap<ContentId, Error>) -> Result<()> {
    let root = Part { prefix: String::new(), plan: &plan.root };
    report::log_objects(&root, outcome);
    report::log_count(root.plan.objects.len(), outcome);
    let mut parts = vec![root];
    if !plan.segments.is_empty() {
        tracing::info!("Deleting the segments backups...");
    }
    for (content, segment) in &plan.segments {
        match plan.ids.get(content) {
            Some(id) => tracing::info!("Processing segment {content} (backupId={id})"),
            None => tracing::info!("Processing segment {content}"),
        }
        let part = Part { prefix: format!("{}/", layout::segment_prefix(*content)), plan: segment };
        report::log_objects(&part, outcome);
        match failures.get(content) {
            None => report::log_count(segment.objects.len(), outcome),
            Some(error) => tracing::error!("segment {content}: {error}"),
        }
        parts.push(part);
    }
    if !plan.segments.is_empty() {
        tracing::info!("Finished deleting the segments backups");
    }
    let summary = Summary { parts, points: plan.points.clone() };
    print_summary(&summary, json, outcome)?;
    if !failures.is_empty() {
        return Err(Error::refused(
            format!("the deletion failed on {} segments", failures.len()),
            "run the same command again: it finishes what was begun",
        ));
    }
    refuse_incomplete(plan)
}

fn refuse_incomplete(plan: &ClusterPlan) -> Result<()> {
    let mut count = 0;
    for (prefix, problem) in plan.problems() {
        tracing::error!("{prefix}{problem}");
        count += 1;
    }
    match count {
        0 => Ok(()),
        count => Err(Error::refused(
            format!("{count} things could not be found out, so that the deletion is not complete"),
            "repair what the errors above name, then run the same command again",
        )),
    }
}
