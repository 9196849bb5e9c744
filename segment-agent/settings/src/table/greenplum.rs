//! Settings of the Greenplum cluster: name, form, default, meaning.

use super::{Setting, greenplum};

#[rustfmt::skip]
pub const ROWS: &[Setting] = &[
    greenplum("WALG_GP_LOGS_DIR", "path", "/var/log", "directory of per-segment logs wal-g-log-seg<ID>.log and of the cluster library log wal-g-gplog.log"),
    greenplum("WALG_GP_SEG_CONTENT_ID", "int", "", "content id for \"seg\" commands when --content-id is absent"),
    greenplum("WALG_GP_SEG_POLL_INTERVAL", "duration", "5m", "how often the coordinator polls the segment state files"),
    greenplum("WALG_GP_SEG_POLL_RETRIES", "int", "5", "failed polls in a row tolerated"),
    greenplum("WALG_GP_SEG_UPD_INTERVAL", "duration", "10s", "how often a segment rewrites its state file"),
    greenplum("WALG_GP_SEG_STATES_DIR", "path", "/tmp", "parent of walg_seg_states_seg<ID>/cmd_run_state_<command>_seg<ID>"),
    greenplum("WALG_GP_DELETE_CONCURRENCY", "int>=1", "1", "segments cleaned in parallel by delete"),
    greenplum("WALG_GP_AOSEG_SIZE_THRESHOLD", "int64 bytes", "1048576", "smaller AO/AOCS files go into the tar parts; larger ones to the shared aosegments folder"),
    greenplum("WALG_GP_AOSEG_DEDUPLICATION_AGE_LIMIT", "duration", "720h", "an AO/AOCS object older than this is uploaded anew instead of reused"),
    greenplum("WALG_GP_PAXFILE_SIZE_THRESHOLD", "int64 bytes", "1048576", "same as the AO threshold for Cloudberry PAX files (paxfiles folder)"),
    greenplum("WALG_GP_PAXFILE_DEDUPLICATION_AGE_LIMIT", "duration", "720h", "same as the AO age limit for PAX files"),
    greenplum("WALG_GP_RELATIVE_RECOVERY_CONF_PATH", "path inside the data directory", "recovery.conf", "file that backup-fetch writes the recovery settings to; servers from PostgreSQL 12 on get damson.recovery.conf where this is recovery.conf"),
    greenplum("WALG_GP_RELATIVE_POSTGRESQL_CONF_PATH", "path inside the data directory", "postgresql.conf", "file that gets the include_if_exists line (servers based on PG 12 and later)"),
    greenplum("DAMSON_START_COMMAND", "shell command", "{pg_ctl} -D {data_dir} -l {log} -W -o \"-p {port} {role}\" start", "starts the server of a restored segment, without waiting for it; placeholders: {pg_ctl}, {data_dir}, {log}, {port}, {content}, {timeout} and {role}, the options by which a release tells a coordinator from a primary"),
    greenplum("DAMSON_STOP_COMMAND", "shell command", "{pg_ctl} -D {data_dir} -m fast -w -t {timeout} stop", "stops it; the same placeholders"),
    greenplum("DAMSON_START_TIMEOUT", "duration", "10m", "how long a server may take to start or stop, recovery not counted"),
    greenplum("DAMSON_SEED_COMMAND", "shell command", "{pg_basebackup} -D {data_dir} -h {from_host} -p {from_port} -U {user} -w -c fast -X stream -R -P --slot {slot} {release}", "copies a running primary to make a mirror or the standby that the restore config names; placeholders besides {content}: {pg_basebackup}, {data_dir}, {from_host}, {from_port}, {user}, {slot} and {release}, the options that releases of Greenplum want"),
    greenplum("GPHOME", "path", "", "installation whose bin/pg_ctl starts the servers, and bin/pg_basebackup copies them, after its greenplum_path.sh or cloudberry-env.sh was read; pg_ctl from PATH when unset"),
];
