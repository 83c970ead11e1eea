//! Attributes of a node by name, with their defaults.

use super::constant::Constant;
use super::proto::{Attribute, Node};
use crate::error::{Error, Result};

/// Attributes that only name things.
const IGNORED: [&str; 2] = ["doc_string", "name"];

/// Gives out attributes; [`Attributes::finish`] refuses what nobody asked for, so that nothing is ignored in silence.
pub struct Attributes<'n, 'a> {
    left: Vec<&'n Attribute<'a>>,
}

impl<'n, 'a> Attributes<'n, 'a> {
    /// The attributes of a node.
    pub fn of(node: &'n Node<'a>) -> Self {
        Self { left: node.attributes.iter().collect() }
    }

    fn take(&mut self, name: &str) -> Option<&'n Attribute<'a>> {
        let i = self.left.iter().position(|attribute| attribute.name == name)?;
        Some(self.left.swap_remove(i))
    }

    /// An integer.
    pub fn int(&mut self, name: &str, default: i64) -> Result<i64> {
        Ok(self.opt_int(name)?.unwrap_or(default))
    }

    /// An integer, if it is there.
    pub fn opt_int(&mut self, name: &str) -> Result<Option<i64>> {
        self.take(name).map(|a| a.i.ok_or_else(|| wrong(name, "an integer"))).transpose()
    }

    /// A float.
    pub fn float(&mut self, name: &str, default: f32) -> Result<f32> {
        Ok(self.opt_float(name)?.unwrap_or(default))
    }

    /// A float, if it is there.
    pub fn opt_float(&mut self, name: &str) -> Result<Option<f32>> {
        self.take(name).map(|a| a.f.ok_or_else(|| wrong(name, "a float"))).transpose()
    }

    /// Integers, if they are there.
    pub fn ints(&mut self, name: &str) -> Option<&'n [i64]> {
        self.take(name).map(|a| a.ints.as_slice())
    }

    /// A string.
    pub fn string(&mut self, name: &str, default: &'n str) -> Result<&'n str> {
        let Some(attribute) = self.take(name) else { return Ok(default) };
        attribute.s.and_then(|s| std::str::from_utf8(s).ok()).ok_or_else(|| wrong(name, "a string"))
    }

    /// A tensor, if it is there.
    pub fn tensor(&mut self, name: &str) -> Result<Option<Constant>> {
        let Some(attribute) = self.take(name) else { return Ok(None) };
        let tensor = attribute.t.clone().ok_or_else(|| wrong(name, "a tensor"))?;
        Constant::read(tensor).map(Some)
    }

    /// Floats, if they are there.
    pub fn floats(&mut self, name: &str) -> Option<&'n [f32]> {
        self.take(name).map(|a| a.floats.as_slice())
    }

    /// Drops an attribute that makes no difference here.
    pub fn ignore(&mut self, name: &str) {
        self.take(name);
    }

    /// An error if an attribute is left that nobody asked for.
    pub fn finish(self) -> Result<()> {
        match self.left.iter().find(|attribute| !IGNORED.contains(&attribute.name)) {
            None => Ok(()),
            Some(attribute) => Err(Error::unsupported(format!("attribute {:?} is not supported", attribute.name))),
        }
    }
}

fn wrong(name: &str, expected: &str) -> Error {
    Error::model(format!("attribute {name:?} is not {expected}"))
}
