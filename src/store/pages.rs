//! Reading an object of a store from its beginning to its end. The next page is fetched while one is used.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use crate::work::ReadAt;

/// The size of one read.
const PAGE_BYTES: u64 = 4 << 20;
/// The number of pages that wait, beside the one being read and the one in use.
const AHEAD: usize = 1;

/// All bytes of `source`, in order.
pub struct Pages {
    pages: Receiver<io::Result<Vec<u8>>>,
    page: io::Cursor<Vec<u8>>,
}

impl Pages {
    /// Starts to read.
    pub fn new(source: Arc<dyn ReadAt + Send + Sync>) -> io::Result<Pages> {
        let length = source.length()?;
        let (give, pages) = sync_channel(AHEAD);
        thread::Builder::new()
            .name("pages".to_owned())
            .spawn(move || {
                let mut offset = 0;
                while offset < length {
                    let mut page = vec![0; (length - offset).min(PAGE_BYTES) as usize];
                    let read = source.read_exact_at(&mut page, offset);
                    offset += page.len() as u64;
                    let is_error = read.is_err();
                    // The reader is gone, or will receive the error.
                    if give.send(read.map(|()| page)).is_err() || is_error {
                        return;
                    }
                }
            })?;
        Ok(Pages {
            pages,
            page: io::Cursor::default(),
        })
    }
}

impl Read for Pages {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.page.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.pages.recv() {
                Ok(page) => self.page = io::Cursor::new(page?),
                Err(_) => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>, u64);

    impl ReadAt for Bytes {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            if offset >= self.1 {
                return Err(io::Error::other("no further"));
            }
            let from = offset as usize;
            buffer.copy_from_slice(&self.0[from..from + buffer.len()]);
            Ok(())
        }

        fn length(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
    }

    #[test]
    fn every_byte_comes_once_and_an_error_where_it_is() {
        let bytes: Vec<u8> = (0..9_000_000u32)
            .map(|number| (number >> 3) as u8)
            .collect();
        let mut all = Vec::new();
        let source = Arc::new(Bytes(bytes.clone(), u64::MAX));
        Pages::new(source)
            .expect("begun")
            .read_to_end(&mut all)
            .expect("read");
        assert!(all == bytes);
        let mut some = Vec::new();
        let failing = Arc::new(Bytes(bytes.clone(), PAGE_BYTES));
        let error = Pages::new(failing).expect("begun").read_to_end(&mut some);
        assert_eq!(error.expect_err("it fails").to_string(), "no further");
        assert_eq!(some.len() as u64, PAGE_BYTES);
    }
}
