//! The table of an instruction set: a kernel for each format of the list, in its order.

/// Makes the `[LinearKernel; DType::COUNT]` of the instruction set whose token is named.
///
/// ```text
/// kernel_table!(Avx2, in place [Q4_0 Q8_0 ..])
///
/// float formats          float::kernel::<Avx2, Block>()
/// formats in the list    in_place::<Avx2, Block>()         decoded in registers, from where they lie
/// all others             unpacked::<Avx2, Block>()         unpacked by portable code, a unit at a time
/// ```
///
/// `in_place` and `unpacked` are functions of the folder that invokes this macro. So one word in the file of an
/// instruction set says how it reads a format, without effect on the others.
macro_rules! kernel_table {
    // `$d` is a dollar sign: the macros made here have variables of their own.
    (($d:tt) $token:ty, [$($in_place:ident)*]) => {{
        macro_rules! kernel {
            ($d dtype:ident $d block:ident {
                in $d file:ident, $d name:literal, id $d id:literal, len $d len:literal, acts 0, $d($d rest:tt)*
            }) => {
                $crate::linear::float::kernel::<$token, happy_tensor::$d block>()
            };
            $(($in_place $d block:ident $d facts:tt) => { in_place::<$token, happy_tensor::$d block>() };)*
            ($d dtype:ident $d block:ident $d facts:tt) => {{
                // Here, since the file of an instruction set that decodes all formats in place would import it in vain.
                use super::unpacked;
                unpacked::<$token, happy_tensor::$d block>()
            }};
        }
        macro_rules! kernels {
            ($d($d dtype:ident $d block:ident $d facts:tt)*) => { [$d(kernel!($d dtype $d block $d facts)),*] };
        }
        // A name that is not a format does not compile.
        const _: &[happy_tensor::DType] = &[$(happy_tensor::DType::$in_place),*];
        happy_tensor::for_each_format!(kernels)
    }};
    ($token:ty, in place [$($in_place:ident)*]) => {
        $crate::linear::table::kernel_table!(($) $token, [$($in_place)*])
    };
}
pub(crate) use kernel_table;
