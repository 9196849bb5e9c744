//! The compression methods by their settings, file extensions and memory needs.
//!
//! `Compression` is what is written, `Codec` what can be read. Names and extensions are those of WAL-G 3.0.9.

use crate::Error;

/// How hard zstd tries (`WALG_ZSTD_LEVEL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZstdLevel {
    /// C zstd level 1.
    Fastest,
    /// C zstd level 3.
    Default,
    /// C zstd level 7.
    Better,
    /// C zstd level 11.
    Best,
}

impl ZstdLevel {
    /// Parses `fastest`, `default`, `better` or `best`, in any case.
    pub fn from_setting(text: &str) -> Result<ZstdLevel, Error> {
        match text.to_ascii_lowercase().as_str() {
            "fastest" => Ok(ZstdLevel::Fastest),
            "default" => Ok(ZstdLevel::Default),
            "better" => Ok(ZstdLevel::Better),
            "best" => Ok(ZstdLevel::Best),
            _ => Err(Error::Setting {
                setting: "WALG_ZSTD_LEVEL",
                why: format!("`{text}` is not one of fastest, default, better, best"),
            }),
        }
    }

    /// The level of the C library.
    pub(crate) fn number(self) -> i32 {
        match self {
            ZstdLevel::Fastest => 1,
            ZstdLevel::Default => 3,
            ZstdLevel::Better => 7,
            ZstdLevel::Best => 11,
        }
    }
}

/// A compression method for writing (`WALG_COMPRESSION_METHOD`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Lz4,
    Zstd(ZstdLevel),
    Brotli,
    Lzma,
    None,
}

impl Compression {
    /// From the settings. A zstd level together with another method is an error, as in WAL-G.
    pub fn from_setting(method: &str, zstd_level: Option<&str>) -> Result<Compression, Error> {
        if let Some(level) = zstd_level
            && method != "zstd"
        {
            return Err(Error::Setting {
                setting: "WALG_ZSTD_LEVEL",
                why: format!(
                    "`{level}` is set, but the compression method is `{method}`: remove it or set WALG_COMPRESSION_METHOD=zstd"
                ),
            });
        }
        match method {
            "lz4" => Ok(Compression::Lz4),
            "lzma" => Ok(Compression::Lzma),
            "brotli" => Ok(Compression::Brotli),
            "none" => Ok(Compression::None),
            "zstd" => Ok(Compression::Zstd(zstd_level.map_or(Ok(ZstdLevel::Default), ZstdLevel::from_setting)?)),
            _ => Err(Error::Setting {
                setting: "WALG_COMPRESSION_METHOD",
                why: format!("`{method}` is not one of lz4, lzma, zstd, brotli, none"),
            }),
        }
    }

    /// The codec that reads what this method writes.
    pub fn codec(self) -> Codec {
        match self {
            Compression::Lz4 => Codec::Lz4,
            Compression::Zstd(_) => Codec::Zstd,
            Compression::Brotli => Codec::Brotli,
            Compression::Lzma => Codec::Lzma,
            Compression::None => Codec::None,
        }
    }

    /// The file extension without dot, empty for `None`.
    pub fn extension(self) -> &'static str {
        self.codec().extension()
    }

    /// `base.ext`, or the bare `base` if the method has no extension.
    pub fn file_name(self, base: &str) -> String {
        self.codec().file_name(base)
    }

    /// An upper bound, as measured, for the memory of one `Encoder` in steady state, in bytes (encryption included).
    pub fn encoder_memory_bytes(self) -> usize {
        const MIB: usize = 1024 * 1024;
        match self {
            Compression::Lz4 => MIB,
            Compression::Zstd(ZstdLevel::Fastest) => 2 * MIB,
            Compression::Zstd(ZstdLevel::Default) => 4 * MIB,
            Compression::Zstd(ZstdLevel::Better) => 10 * MIB,
            Compression::Zstd(ZstdLevel::Best) => 32 * MIB,
            Compression::Brotli => 20 * MIB,
            Compression::Lzma => 40 * MIB,
            Compression::None => MIB,
        }
    }
}

/// A compression format for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Lz4,
    Lzma,
    Gzip,
    None,
    Brotli,
    Lzo,
    Zstd,
}

/// The order in which the extensions of an object with a known base name are tried.
pub const READ_ORDER: [Codec; 7] =
    [Codec::Lz4, Codec::Lzma, Codec::Gzip, Codec::None, Codec::Brotli, Codec::Lzo, Codec::Zstd];

impl Codec {
    /// Splits an object name into its stem and the codec that its extension names.
    ///
    /// Every unknown extension (`.tar`, `.backup`, none at all) belongs to the stem: such an object is read raw.
    /// `name.` with a bare dot is the other spelling of an uncompressed object.
    pub fn from_file_name(name: &str) -> (&str, Codec) {
        let Some((stem, extension)) = name.rsplit_once('.') else { return (name, Codec::None) };
        if extension.contains('/') {
            return (name, Codec::None);
        }
        READ_ORDER
            .into_iter()
            .find(|codec| codec.extension() == extension)
            .map_or((name, Codec::None), |codec| (stem, codec))
    }

    /// The file extension without dot, empty for `None`.
    pub fn extension(self) -> &'static str {
        match self {
            Codec::Lz4 => "lz4",
            Codec::Lzma => "lzma",
            Codec::Gzip => "gz",
            Codec::None => "",
            Codec::Brotli => "br",
            Codec::Lzo => "lzo",
            Codec::Zstd => "zst",
        }
    }

    /// `base.ext`, or the bare `base` if the codec has no extension.
    pub fn file_name(self, base: &str) -> String {
        match self.extension() {
            "" => base.to_owned(),
            extension => format!("{base}.{extension}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_choose_the_method() {
        assert_eq!(Compression::from_setting("lz4", None).unwrap(), Compression::Lz4);
        assert_eq!(Compression::from_setting("zstd", None).unwrap(), Compression::Zstd(ZstdLevel::Default));
        assert_eq!(Compression::from_setting("zstd", Some("BeTTer")).unwrap(), Compression::Zstd(ZstdLevel::Better));
        assert!(Compression::from_setting("lz4", Some("default")).is_err());
        assert!(Compression::from_setting("zstd", Some("ultra")).is_err());
        assert!(Compression::from_setting("LZ4", None).is_err());
    }

    #[test]
    fn names_carry_the_extension() {
        assert_eq!(Compression::Lz4.file_name("part_001.tar"), "part_001.tar.lz4");
        assert_eq!(Compression::None.file_name("part_001.tar"), "part_001.tar");
        assert_eq!(Codec::from_file_name("part_001.tar.zst"), ("part_001.tar", Codec::Zstd));
        assert_eq!(Codec::from_file_name("part_001.tar"), ("part_001.tar", Codec::None));
        assert_eq!(Codec::from_file_name("000000010000000000000003"), ("000000010000000000000003", Codec::None));
        assert_eq!(Codec::from_file_name("0001.00000028.backup"), ("0001.00000028.backup", Codec::None));
        assert_eq!(Codec::from_file_name("a.b/c"), ("a.b/c", Codec::None));
        assert_eq!(Codec::from_file_name("name."), ("name", Codec::None));
        assert_eq!(Codec::from_file_name("x.history.gz"), ("x.history", Codec::Gzip));
    }
}
