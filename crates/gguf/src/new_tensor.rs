//! A tensor to be written: its bytes or a producer of them, checked against type and dimensions.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::vec::Vec;

use crate::GgmlType;
use crate::sink::Room;
use crate::tensor_info::Dims;
use crate::write_error::{WriteError, WriteErrorKind};

/// Name, type, dimensions and bytes, as the caller gave them.
#[derive(Clone, Debug)]
pub(crate) struct NewTensor<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) ty: GgmlType,
    pub(crate) dims: Vec<u64>,
    pub(crate) data: Data<'a>,
}

/// Writes all bytes of a tensor, each time it is called.
pub(crate) type Producer<'a> = Arc<dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'a>;

#[derive(Clone)]
pub(crate) enum Data<'a> {
    Bytes(Cow<'a, [u8]>),
    /// A producer, and the number of bytes if the type does not determine it.
    Produced(Producer<'a>, Option<u64>),
}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Produced(..) => f.write_str("produced"),
        }
    }
}

impl NewTensor<'_> {
    /// The size in bytes that type and dimensions determine. A type of unknown size accepts any number of bytes.
    pub(crate) fn size(&self) -> Result<u64, WriteError> {
        let shape = |expected: &str| {
            let found = format!("{} {:?}", self.ty, self.dims);
            WriteError::tensor(WriteErrorKind::InvalidShape, &self.name, expected, found)
        };
        let Some(dims) = Dims::new(&self.dims) else { return Err(shape("at most 4 dimensions")) };
        let Some(elements) = dims.elements() else {
            return Err(shape("a product of dimensions that fits 63 bits"));
        };
        let Some(layout) = self.ty.layout() else {
            return match &self.data {
                Data::Bytes(bytes) if bytes.is_empty() && elements > 0 => Err(self.wrong_size(1, 0)),
                Data::Bytes(bytes) => Ok(bytes.len() as u64),
                Data::Produced(_, Some(len)) => Ok(*len),
                Data::Produced(_, None) => Err(shape("a type of known size for bytes that are produced")),
            };
        };
        if !dims.padded()[0].is_multiple_of(layout.len.into()) {
            return Err(shape(&format!("rows of whole blocks of {} elements", layout.len)));
        }
        let Some(size) = self.ty.row_bytes(elements).filter(|n| i64::try_from(*n).is_ok()) else {
            return Err(shape("a size that fits 63 bits"));
        };
        match &self.data {
            Data::Bytes(bytes) if bytes.len() as u64 != size => {
                Err(self.wrong_size(size, bytes.len() as u64))
            }
            _ => Ok(size),
        }
    }

    fn wrong_size(&self, size: u64, found: u64) -> WriteError {
        let expected = format!("{size} bytes for {} {:?}", self.ty, self.dims);
        WriteError::tensor(WriteErrorKind::WrongSize, &self.name, expected, format!("{found} bytes"))
    }

    /// Writes the bytes, and returns how many.
    pub(crate) fn write_to(&self, out: &mut dyn Write) -> Result<u64, WriteError> {
        let size = self.size()?;
        match &self.data {
            Data::Bytes(bytes) => out.write_all(bytes)?,
            Data::Produced(produce, _) => {
                let mut room = Room { out, left: size, too_much: false };
                let done = produce(&mut room);
                if room.too_much {
                    return Err(self.wrong_size(size, size.saturating_add(1)));
                }
                done?;
                if room.left > 0 {
                    return Err(self.wrong_size(size, size - room.left));
                }
            }
        }
        Ok(size)
    }
}
