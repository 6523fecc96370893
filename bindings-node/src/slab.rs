//! Objects behind integer handles. A handle that is reused carries another generation, so a stale one finds nothing. Each belongs to the isolate
//! that it was made for, and goes with it at the latest: an isolate that is terminated gives nothing back.

use std::sync::Arc;

use napi::bindgen_prelude::{Error, Result};
use parking_lot::RwLock;

use crate::isolate;

/// Bits of a handle that count how often its place was used; 31 bits in all stay small integers in JavaScript.
const GENERATION_BITS: u32 = 7;
const GENERATIONS: u32 = 1 << GENERATION_BITS;

struct Place<T> {
    generation: u32,
    isolate: u32,
    object: Option<Arc<T>>,
}

struct Places<T> {
    all: Vec<Place<T>>,
    free: Vec<u32>,
}

/// A slab of shared objects.
pub(crate) struct Slab<T> {
    places: RwLock<Places<T>>,
    what: &'static str,
}

impl<T> Slab<T> {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { places: RwLock::new(Places { all: Vec::new(), free: Vec::new() }), what }
    }

    /// The handle of an object that is this isolate's. To be called on its thread.
    pub(crate) fn put(&self, object: Arc<T>) -> u32 {
        // After the isolate's end nobody would give it back, and nobody is there to use the handle.
        let Some(isolate) = isolate::current() else { return 0 };
        let mut places = self.places.write();
        let index = places.free.pop().unwrap_or_else(|| {
            places.all.push(Place { generation: 0, isolate, object: None });
            u32::try_from(places.all.len() - 1).unwrap_or(u32::MAX >> GENERATION_BITS)
        });
        let place = &mut places.all[index as usize];
        place.generation = (place.generation + 1) % GENERATIONS;
        place.isolate = isolate;
        place.object = Some(object);
        index << GENERATION_BITS | place.generation
    }

    pub(crate) fn get(&self, handle: u32) -> Result<Arc<T>> {
        let places = self.places.read();
        let place = places.all.get((handle >> GENERATION_BITS) as usize).filter(|place| place.generation == handle % GENERATIONS);
        place.and_then(|place| place.object.clone()).ok_or_else(|| Error::from_reason(format!("there is no {} {handle}", self.what)))
    }

    /// Takes everything of an isolate that has ended.
    pub(crate) fn take_of(&self, isolate: u32) -> Vec<Arc<T>> {
        let mut places = self.places.write();
        let Places { all, free } = &mut *places;
        let own = all.iter_mut().enumerate().filter(|(_, place)| place.isolate == isolate);
        let taken = own.filter_map(|(index, place)| Some((index, place.object.take()?)));
        taken
            .map(|(index, object)| {
                free.push(u32::try_from(index).unwrap_or_default());
                object
            })
            .collect()
    }

    /// Gives a handle back, and what was behind it.
    pub(crate) fn take(&self, handle: u32) -> Option<Arc<T>> {
        let index = handle >> GENERATION_BITS;
        let mut places = self.places.write();
        let place = places.all.get_mut(index as usize).filter(|place| place.generation == handle % GENERATIONS)?;
        let object = place.object.take()?;
        places.free.push(index);
        Some(object)
    }

    pub(crate) fn drop_handle(&self, handle: u32) {
        // Outside the lock: the last owner may run a destructor that takes others.
        drop(self.take(handle));
    }
}
