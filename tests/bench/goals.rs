//! What the product is meant to reach: ratios to programs that ran beside it, and bounds of its own.

use crate::arguments::Work;
use crate::measure::Taken;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Wall,
    Cpu,
    Peak,
}

/// `figure` of `contender` may be at most `limit` times that of `peer`; without a peer, at most `limit` itself.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    pub work: Work,
    pub figure: Figure,
    pub contender: &'static str,
    pub peer: Option<&'static str>,
    pub limit: f64,
}

pub const GOALS: [Goal; 61] = [
    ratio(Work::Backup, Figure::Wall, "damson lz4", "WAL-G lz4", 0.50),
    ratio(Work::Backup, Figure::Wall, "damson lz4", "walrus lz4", 0.90),
    ratio(Work::Backup, Figure::Cpu, "damson lz4", "WAL-G lz4", 0.80),
    bound(Work::Backup, Figure::Peak, "damson lz4", 16.0),
    ratio(Work::Backup, Figure::Wall, "damson zstd", "tar | zstd -1 -T2", 0.90),
    ratio(Work::Backup, Figure::Cpu, "damson zstd", "WAL-G zstd", 0.70),
    bound(Work::Backup, Figure::Peak, "damson zstd", 16.0),
    ratio(Work::Restore, Figure::Wall, "damson lz4", "WAL-G lz4", 0.45),
    ratio(Work::Restore, Figure::Wall, "damson lz4", "walrus lz4", 0.90),
    ratio(Work::Restore, Figure::Wall, "damson lz4", "cp -r", 1.10),
    ratio(Work::Restore, Figure::Cpu, "damson lz4", "WAL-G lz4", 0.70),
    bound(Work::Restore, Figure::Peak, "damson lz4", 16.0),
    ratio(Work::Restore, Figure::Wall, "damson zstd", "WAL-G zstd", 0.45),
    ratio(Work::Restore, Figure::Cpu, "damson zstd", "WAL-G zstd", 0.70),
    bound(Work::Restore, Figure::Peak, "damson zstd", 16.0),
    ratio(Work::WalPush, Figure::Wall, "damson lz4", "WAL-G lz4", 0.35),
    ratio(Work::WalPush, Figure::Wall, "damson lz4", "walrus lz4", 0.80),
    ratio(Work::WalPush, Figure::Cpu, "damson lz4", "WAL-G lz4", 0.35),
    bound(Work::WalPush, Figure::Peak, "damson lz4", 8.0),
    ratio(Work::WalPush, Figure::Wall, "damson zstd", "WAL-G zstd", 0.35),
    bound(Work::WalPush, Figure::Peak, "damson zstd", 8.0),
    ratio(Work::WalFetch, Figure::Wall, "damson lz4", "WAL-G lz4", 0.30),
    ratio(Work::WalFetch, Figure::Cpu, "damson lz4", "WAL-G lz4", 0.30),
    bound(Work::WalFetch, Figure::Peak, "damson lz4", 16.0),
    ratio(Work::WalFetch, Figure::Wall, "damson zstd", "WAL-G zstd", 0.30),
    bound(Work::WalFetch, Figure::Peak, "damson zstd", 16.0),
    // Fifty starts of 10 ms.
    bound(Work::Start, Figure::Wall, "damson", 0.5),
    bound(Work::Start, Figure::Peak, "damson", 8.0),
    ratio(Work::Start, Figure::Cpu, "damson", "WAL-G", 0.35),
    ratio(Work::Delta, Figure::Wall, "damson lz4", "WAL-G lz4", 0.50),
    ratio(Work::Delta, Figure::Cpu, "damson lz4", "WAL-G lz4", 0.70),
    bound(Work::Delta, Figure::Peak, "damson lz4", 16.0),
    ratio(Work::Delta, Figure::Wall, "damson zstd", "WAL-G zstd", 0.50),
    ratio(Work::Delta, Figure::Cpu, "damson zstd", "WAL-G zstd", 0.70),
    bound(Work::Delta, Figure::Peak, "damson zstd", 16.0),
    ratio(Work::Chain, Figure::Wall, "damson lz4", "WAL-G lz4", 0.45),
    ratio(Work::Chain, Figure::Cpu, "damson lz4", "WAL-G lz4", 0.70),
    bound(Work::Chain, Figure::Peak, "damson lz4", 16.0),
    ratio(Work::Chain, Figure::Wall, "damson zstd", "WAL-G zstd", 0.45),
    ratio(Work::Chain, Figure::Cpu, "damson zstd", "WAL-G zstd", 0.70),
    bound(Work::Chain, Figure::Peak, "damson zstd", 16.0),
    ratio(Work::Cluster, Figure::Wall, "damson", "WAL-G", 0.30),
    bound(Work::Agent, Figure::Peak, "damson-agent", 64.0),
    bound(Work::List, Figure::Peak, "damson", 24.0),
    bound(Work::Plan, Figure::Peak, "damson", 24.0),
    bound(Work::PluginStore, Figure::Peak, "damson", 16.0),
    bound(Work::PluginStore, Figure::Peak, "damson S3", 16.0),
    ratio(Work::PluginStore, Figure::Wall, "damson S3", "gpbackup_s3_plugin", 1.0),
    ratio(Work::PluginStore, Figure::Cpu, "damson S3", "gpbackup_s3_plugin", 1.0),
    bound(Work::PluginRestore, Figure::Peak, "damson", 16.0),
    bound(Work::PluginRestore, Figure::Peak, "damson S3", 16.0),
    ratio(Work::PluginRestore, Figure::Wall, "damson S3", "gpbackup_s3_plugin", 1.0),
    ratio(Work::PluginRestore, Figure::Cpu, "damson S3", "gpbackup_s3_plugin", 1.0),
    bound(Work::PluginStore8, Figure::Peak, "damson", 16.0),
    bound(Work::PluginStore8, Figure::Peak, "damson S3", 16.0),
    ratio(Work::PluginStore8, Figure::Wall, "damson S3", "gpbackup_s3_plugin", 1.0),
    ratio(Work::PluginStore8, Figure::Cpu, "damson S3", "gpbackup_s3_plugin", 1.0),
    bound(Work::PluginRestore8, Figure::Peak, "damson", 16.0),
    bound(Work::PluginRestore8, Figure::Peak, "damson S3", 16.0),
    ratio(Work::PluginRestore8, Figure::Wall, "damson S3", "gpbackup_s3_plugin", 1.0),
    ratio(Work::PluginRestore8, Figure::Cpu, "damson S3", "gpbackup_s3_plugin", 1.0),
];

const fn ratio(work: Work, figure: Figure, contender: &'static str, peer: &'static str, limit: f64) -> Goal {
    Goal { work, figure, contender, peer: Some(peer), limit }
}

const fn bound(work: Work, figure: Figure, contender: &'static str, limit: f64) -> Goal {
    Goal { work, figure, contender, peer: None, limit }
}

impl Figure {
    pub fn of(self, taken: &Taken) -> f64 {
        match self {
            Figure::Wall => taken.wall_seconds,
            Figure::Cpu => taken.cpu_seconds,
            Figure::Peak => taken.peak_mb,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Figure::Wall => "wall",
            Figure::Cpu => "CPU",
            Figure::Peak => "peak MB",
        }
    }
}
