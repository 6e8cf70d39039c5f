//! Values as a drifting API may send them: an id as a number or a string, null
//! for nothing. Reads what can be read, borrows what can be borrowed, and fails
//! on broken JSON only.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A whole number, written as a number or as text.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) enum Number {
    #[default]
    Missing,
    Unreadable,
    Is(u64),
    Negative(i64),
}

impl Number {
    /// As an id or a count; `None` where it is missing or does not fit.
    pub(super) fn unsigned(self) -> Option<u64> {
        match self {
            Number::Is(n) => Some(n),
            Number::Missing | Number::Unreadable | Number::Negative(_) => None,
        }
    }

    /// As a moment in seconds.
    pub(super) fn signed(self) -> Option<i64> {
        match self {
            Number::Is(n) => i64::try_from(n).ok(),
            Number::Negative(n) => Some(n),
            Number::Missing | Number::Unreadable => None,
        }
    }

    fn of(n: i64) -> Number {
        u64::try_from(n).map_or(Number::Negative(n), Number::Is)
    }

    fn parse(text: &str) -> Number {
        match text.trim() {
            "" => Number::Missing,
            digits => match digits.parse() {
                Ok(n) => Number::Is(n),
                Err(_) => digits.parse().map_or(Number::Unreadable, Number::of),
            },
        }
    }
}

/// A text; numbers and booleans are written out, null and anything else is empty.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

/// Yes or no; also `1`, `"true"`, `"1"`.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) enum Flag {
    #[default]
    Missing,
    Unreadable,
    Is(bool),
}

impl Flag {
    fn parse(text: &str) -> Flag {
        match text {
            "true" | "1" => Flag::Is(true),
            "false" | "0" => Flag::Is(false),
            _ => Flag::Unreadable,
        }
    }
}

/// An object, or the default where something else stands in its place.
#[derive(Debug, Default)]
pub(super) struct Part<T>(pub(super) T);

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }
    fn visit_u64<E>(self, n: u64) -> Result<Number, E> {
        Ok(Number::Is(n))
    }
    fn visit_i64<E>(self, n: i64) -> Result<Number, E> {
        Ok(Number::of(n))
    }
    fn visit_f64<E>(self, n: f64) -> Result<Number, E> {
        // Beyond 2^53 a float no longer says which id it meant.
        let whole = n.fract() == 0.0 && n.abs() <= 9_007_199_254_740_992.0;
        Ok(if whole { Number::of(n as i64) } else { Number::Unreadable })
    }
    fn visit_str<E>(self, text: &str) -> Result<Number, E> {
        Ok(Number::parse(text))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Number, E> {
        Ok(Number::Unreadable)
    }
    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number::Missing)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Number, A::Error> {
        skip_seq(seq).map(|()| Number::Unreadable)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Number, A::Error> {
        skip_map(map).map(|()| Number::Unreadable)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Number, D::Error> {
        d.deserialize_any(NumberVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
    fn visit_u64<E>(self, n: u64) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(n.to_string())))
    }
    fn visit_i64<E>(self, n: i64) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(n.to_string())))
    }
    fn visit_f64<E>(self, n: f64) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(n.to_string())))
    }
    fn visit_bool<E>(self, yes: bool) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(if yes { "true" } else { "false" })))
    }
    fn visit_unit<E>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Text<'de>, A::Error> {
        skip_seq(seq).map(|()| Text::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text<'de>, A::Error> {
        skip_map(map).map(|()| Text::default())
    }
}

// A lifetime of its own, not `'de`: a struct of borrowed texts can then be
// derived with `#[serde(borrow)]`.
impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Text<'a>, D::Error> {
        d.deserialize_any(TextVisitor)
    }
}

struct FlagVisitor;

impl<'de> Visitor<'de> for FlagVisitor {
    type Value = Flag;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }
    fn visit_bool<E>(self, yes: bool) -> Result<Flag, E> {
        Ok(Flag::Is(yes))
    }
    fn visit_u64<E>(self, n: u64) -> Result<Flag, E> {
        Ok(if n <= 1 { Flag::Is(n == 1) } else { Flag::Unreadable })
    }
    fn visit_i64<E>(self, _: i64) -> Result<Flag, E> {
        Ok(Flag::Unreadable)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Flag, E> {
        Ok(Flag::Unreadable)
    }
    fn visit_str<E>(self, text: &str) -> Result<Flag, E> {
        Ok(Flag::parse(text))
    }
    fn visit_unit<E>(self) -> Result<Flag, E> {
        Ok(Flag::Missing)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Flag, A::Error> {
        skip_seq(seq).map(|()| Flag::Unreadable)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Flag, A::Error> {
        skip_map(map).map(|()| Flag::Unreadable)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Flag, D::Error> {
        d.deserialize_any(FlagVisitor)
    }
}

struct PartVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for PartVisitor<T> {
    type Value = Part<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Part<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Part)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Part<T>, A::Error> {
        skip_seq(seq).map(|()| Part::default())
    }
    fn visit_u64<E>(self, _: u64) -> Result<Part<T>, E> {
        Ok(Part::default())
    }
    fn visit_i64<E>(self, _: i64) -> Result<Part<T>, E> {
        Ok(Part::default())
    }
    fn visit_f64<E>(self, _: f64) -> Result<Part<T>, E> {
        Ok(Part::default())
    }
    fn visit_str<E>(self, _: &str) -> Result<Part<T>, E> {
        Ok(Part::default())
    }
    fn visit_bool<E>(self, _: bool) -> Result<Part<T>, E> {
        Ok(Part::default())
    }
    fn visit_unit<E>(self) -> Result<Part<T>, E> {
        Ok(Part::default())
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Part<T>, D::Error> {
        d.deserialize_any(PartVisitor(PhantomData))
    }
}

fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}
