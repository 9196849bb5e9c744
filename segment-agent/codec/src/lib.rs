//! Plain content to stored bytes and back: compression, encryption, tar, hashes.
//!
//! Everything is synchronous over `Read` and `Write`. What is written are the exact variants of WAL-G 3.0.9; what is
//! read is every legal variant. The promise that matters: a stream that is truncated or altered is never taken for a
//! whole one, as far as its format can tell. lz4, zstd, gzip, lzop and encrypted streams always can. lzma and brotli have
//! an end mark but no checksum, so a flipped bit can pass; an uncompressed object has neither.

mod cipher;
mod compression;
mod decoder;
mod encoder;
mod engine;
mod error;
mod hashing;
mod lz4;
mod lzop;
mod secretstream;
mod spool;
pub mod tar;
mod throttle;

pub use cipher::{Cipher, SecretKey};
pub use compression::{Codec, Compression, READ_ORDER, ZstdLevel};
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use error::Error;
pub use hashing::{ContentSum, HashingReader, HashingWriter};
pub use spool::Spool;
pub use throttle::Throttle;
