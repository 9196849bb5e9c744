//! Where and how backups are stored: S3, each codec, encryption, tablespaces.

mod codecs;
mod encryption;
mod s3;
mod tablespaces;
