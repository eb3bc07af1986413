//! Look-ups under way: who asks the same asks once, and who asks in the same turn of the
//! runtime asks together.
//!
//! A miss boards the flight that has not departed. That flight departs once everything else
//! that is ready has had its turn, so under load one read carries what many calls miss,
//! and an idle verifier waits for nobody.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quick_cache::DefaultHashBuilder;
use tessera_serve::trace::Behalf;
use tessera_shared::{opaque::Presented, store::StoreError};
use tokio::sync::SetOnce;

use super::{Digest, Known};

/// Tokens of one flight at most: enough to make the cost of a read small, and few enough
/// that the first of them doesn't wait long for the last.
const SEATS: usize = 128;

/// All look-ups of one kind.
#[derive(Default)]
pub(super) struct Flights(Mutex<Board>);

#[derive(Default)]
struct Board {
    boarding: Option<Arc<Flight>>,
    under_way: HashMap<Digest, Seat, DefaultHashBuilder>,
}

/// One look-up.
#[derive(Default)]
pub(super) struct Flight {
    passengers: Mutex<Vec<Presented>>,
    behalf: Mutex<Behalf>,
    landed: SetOnce<Result<Vec<Arc<Known>>, StoreError>>,
}

/// Where on which flight an answer comes.
#[derive(Clone)]
pub(super) struct Seat {
    flight: Arc<Flight>,
    number: usize,
}

impl Flights {
    /// A seat on the flight that looks this up, departed or not.
    pub(super) fn share(&self, presented: &Presented, begin: impl FnOnce(Arc<Flight>)) -> Seat {
        let digest = Digest::from(&presented.hash);
        let mut board = lock(&self.0);
        if let Some(seat) = board.under_way.get(&digest) {
            return seat.clone();
        }
        let seat = board.take_seat(presented, begin);
        board.under_way.insert(digest, seat.clone());
        seat
    }

    /// A seat on a flight that has not departed: what it reads is true from now on.
    pub(super) fn board(&self, presented: &Presented, begin: impl FnOnce(Arc<Flight>)) -> Seat {
        lock(&self.0).take_seat(presented, begin)
    }

    /// Closes the doors, and says who is aboard. Who comes later takes the next one.
    fn depart(&self, flight: &Arc<Flight>) -> Vec<Presented> {
        let mut board = lock(&self.0);
        board.boarding.take_if(|boarding| Arc::ptr_eq(boarding, flight));
        std::mem::take(&mut lock(&flight.passengers))
    }

    fn land(&self, passengers: &[Presented]) {
        let mut board = lock(&self.0);
        for presented in passengers {
            board.under_way.remove(&Digest::from(&presented.hash));
        }
    }
}

impl Flight {
    /// Looks up who boards `flight` by `look_up`. Given up at any point, it tells its
    /// passengers.
    pub(super) async fn fly(
        self: Arc<Self>,
        flights: &Flights,
        look_up: impl AsyncFnOnce(&[Presented]) -> Result<Vec<Arc<Known>>, StoreError>,
    ) {
        let mut trip = Trip { flights, flight: self, passengers: Vec::new() };
        tokio::task::yield_now().await;
        trip.passengers = flights.depart(&trip.flight);
        let behalf = std::mem::take(&mut *lock(&trip.flight.behalf));
        let learned = behalf.around(look_up(&trip.passengers)).await;
        // It lands once: the trip is the only one that sets it.
        let _ = trip.flight.landed.set(learned);
    }
}

struct Trip<'a> {
    flights: &'a Flights,
    flight: Arc<Flight>,
    passengers: Vec<Presented>,
}

impl Drop for Trip<'_> {
    fn drop(&mut self) {
        self.passengers.extend(self.flights.depart(&self.flight));
        self.flights.land(&self.passengers);
        let given_up = StoreError::Unavailable("a look-up was given up".into());
        // Nothing changes for those who have been told.
        let _ = self.flight.landed.set(Err(given_up));
    }
}

impl Board {
    fn take_seat(&mut self, presented: &Presented, begin: impl FnOnce(Arc<Flight>)) -> Seat {
        let flight = self.boarding.get_or_insert_with(|| {
            let flight = Arc::new(Flight::default());
            begin(flight.clone());
            flight
        });
        let flight = flight.clone();
        let mut passengers = lock(&flight.passengers);
        let number = passengers.len();
        passengers.push(presented.clone());
        drop(passengers);
        lock(&flight.behalf).join();
        if number + 1 >= SEATS {
            self.boarding = None;
        }
        Seat { flight, number }
    }
}

impl Seat {
    /// What was learned of this passenger. `None`: what was read of another one can't be
    /// understood, which says nothing of this one.
    ///
    /// # Errors
    /// When the store could not answer.
    pub(super) async fn landed(&self) -> Result<Option<Arc<Known>>, StoreError> {
        match self.flight.landed.wait().await {
            Ok(learned) => Ok(learned.get(self.number).cloned()),
            Err(StoreError::Damaged(_)) => Ok(None),
            Err(error) => Err(error.clone()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
