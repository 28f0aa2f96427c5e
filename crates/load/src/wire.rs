//! How values are serialised that have no form of their own: for plans that are sent to another machine, and results that
//! come back.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::serialization::{
    Deserializer as HistogramReader, Serializer as HistogramWriter, V2DeflateSerializer, V2Serializer,
};
use hdrhistogram::{Counter, Histogram};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes a histogram as `HdrHistogram` encodes it (V2, deflated), in base64.
pub(super) fn write_histogram<T: Counter, S: Serializer>(
    histogram: &Histogram<T>,
    output: S,
) -> Result<S::Ok, S::Error> {
    write_with(V2DeflateSerializer::new(), histogram, output)
}

/// The same without compression, in base64. There are hundreds of small histograms in a result, and reading is then faster.
pub(super) fn write_small_histogram<T: Counter, S: Serializer>(
    histogram: &Histogram<T>,
    output: S,
) -> Result<S::Ok, S::Error> {
    write_with(V2Serializer::new(), histogram, output)
}

fn write_with<T: Counter, S: Serializer>(
    mut encoder: impl HistogramWriter<SerializeError: fmt::Display>,
    histogram: &Histogram<T>,
    output: S,
) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::new();
    encoder.serialize(histogram, &mut bytes).map_err(|why| S::Error::custom(why.to_string()))?;
    bytes::serialize(&bytes, output)
}

/// Reads a histogram, compressed or not, and gives it the bounds of those from `empty`.
pub(super) fn read_histogram<'a, T: Counter, D: Deserializer<'a>>(
    input: D,
    empty: impl FnOnce() -> Result<Histogram<T>, D::Error>,
) -> Result<Histogram<T>, D::Error> {
    let bytes = bytes::deserialize(input)?;
    let read = HistogramReader::new().deserialize::<T, _>(&mut bytes.as_slice());
    let read = read.map_err(|why| D::Error::custom(why.to_string()))?;
    let mut histogram = empty()?;
    let bounds = |of: &Histogram<T>| (of.low(), of.high(), of.sigfig(), of.distinct_values());
    if bounds(&read) == bounds(&histogram) {
        return Ok(read);
    }
    histogram.add(read).map_err(|why| D::Error::custom(why.to_string()))?;
    Ok(histogram)
}

/// Bytes in base64.
pub(super) mod bytes {
    use super::{BASE64_STANDARD, Deserialize, Deserializer, Engine, Serializer};
    use serde::de::Error as _;

    pub(in crate::wire) type Bytes = Vec<u8>;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(input: D) -> Result<Bytes, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(input)?).map_err(D::Error::custom)
    }
}

/// Numbers with all their digits, and infinity, which JSON does not have.
pub(super) mod exact {
    use super::{Deserialize, Deserializer, Serializer};
    use serde::de::Error as _;

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(crate) fn serialize<S: Serializer>(number: &f64, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str(&number.to_string())
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(input: D) -> Result<f64, D::Error> {
        String::deserialize(input)?.parse().map_err(D::Error::custom)
    }
}

/// A map whose keys are no strings, as a list.
pub(super) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        output: S,
    ) -> Result<S::Ok, S::Error> {
        output.collect_seq(map)
    }

    pub(crate) fn deserialize<'a, K, V, D>(input: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'a> + Ord,
        V: Deserialize<'a>,
        D: Deserializer<'a>,
    {
        Ok(Vec::<(K, V)>::deserialize(input)?.into_iter().collect())
    }
}

/// A list that copies share.
pub(super) mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize, S: Serializer>(list: &Arc<[T]>, output: S) -> Result<S::Ok, S::Error> {
        output.collect_seq(list.iter())
    }

    pub(crate) fn deserialize<'a, T: Deserialize<'a>, D: Deserializer<'a>>(input: D) -> Result<Arc<[T]>, D::Error> {
        Ok(Vec::<T>::deserialize(input)?.into())
    }
}
