//! Checks that every instruction set can unpack every format. The tables decode formats in place where they can; the
//! tables here unpack them all.

use super::avx2::Avx2;
use super::avx512::Avx512;
use super::avxvnni::AvxVnni;
use crate::check::check;
use crate::kernels::Kernels;
use crate::linear::LinearKernel;
use crate::linear::table::kernel_table;
use crate::{CheckError, Isa};
use happy_tensor::DType;

static AVX2: [LinearKernel; DType::COUNT] = kernel_table!(Avx2, in place []);
static AVXVNNI: [LinearKernel; DType::COUNT] = kernel_table!(AvxVnni, in place []);
static AVX512: [LinearKernel; DType::COUNT] = kernel_table!(Avx512, in place []);

#[test]
fn every_format_can_be_unpacked() {
    for (isa, linear) in [(Isa::Avx2, &AVX2), (Isa::AvxVnni, &AVXVNNI), (Isa::Avx512, &AVX512)] {
        match Kernels::with_isa(isa) {
            Ok(kernels) => {
                let kernels = Kernels { linear: linear.each_ref(), ..kernels };
                assert_eq!(check(&kernels), Ok::<_, CheckError>(()), "{isa}");
            }
            Err(_) => println!("isa: {isa} skipped"),
        }
    }
}
