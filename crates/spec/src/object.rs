//! An object of the specification is read from a JSON object, and from nothing else.
//!
//! What serde derives for a struct also takes a list, field by field in the order of their
//! declaration: `"process": []` would be an empty process, and `"user": [0, 0]` root. So the derived
//! code is only the inside (`remote = "Self"`); the outside asks for a map.

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Lets a struct be read from an object alone.
pub(crate) struct Object<D>(pub(crate) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Object<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

macro_rules! objects {
    (plain $($plain:ident)* ; borrowing $($borrowing:ident)*) => {
        $(
            impl<'de> Deserialize<'de> for crate::$plain {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    crate::$plain::deserialize(Object(deserializer))
                }
            }
            impl Serialize for crate::$plain {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    crate::$plain::serialize(self, serializer)
                }
            }
        )*
        $(
            impl<'de: 'a, 'a> Deserialize<'de> for crate::$borrowing<'a> {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    crate::$borrowing::deserialize(Object(deserializer))
                }
            }
            impl Serialize for crate::$borrowing<'_> {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    crate::$borrowing::serialize(self, serializer)
                }
            }
        )*
    };
}

objects! {
    plain BlockIo ConsoleSize IdMapping Memory Pids Rdma ThrottleDevice TimeOffset WeightDevice;
    borrowing Capabilities Cpu Cpus Device DeviceRule Hook Hooks HugepageLimit IntelRdt
        InterfacePriority IoPriority Linux MemoryPolicy Mount Namespace NetDevice Network Personality
        Process Rlimit Root Scheduler Seccomp Spec SyscallArg SyscallRule User
}
