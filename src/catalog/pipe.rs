//! Pieces of a file on their way from one thread to another.

use std::{
    io::{self, Read},
    sync::{Arc, mpsc::Receiver},
    thread::JoinHandle,
};

use anyhow::{Result, anyhow};

/// The number of pieces that wait for each reader and each upload.
pub const AHEAD: usize = 4;

/// The pieces as a reader; it ends when no sender is left.
pub struct Pipe {
    pieces: Receiver<Arc<Vec<u8>>>,
    piece: Arc<Vec<u8>>,
    used: usize,
}

impl Pipe {
    /// Returns a reader of the pieces that come.
    pub fn new(pieces: Receiver<Arc<Vec<u8>>>) -> Pipe {
        Pipe {
            pieces,
            piece: Arc::default(),
            used: 0,
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.piece.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.used) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let count = (&self.piece[self.used..]).read(buffer)?;
        self.used += count;
        Ok(count)
    }
}

/// Waits for the end of a thread.
pub fn joined<T>(work: JoinHandle<Result<T>>) -> Result<T> {
    work.join()
        .unwrap_or_else(|_| Err(anyhow!("a thread failed; this is a defect of hookshot")))
}
