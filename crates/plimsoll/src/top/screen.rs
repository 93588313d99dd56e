//! The terminal: taken, drawn on, given back whatever happens.

use std::io::{self, BufWriter, Stdout, Write};
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use plimsoll_top::App;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};

use super::guard::Guard;

/// The terminal while it is ours.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    guard: Option<Guard>,
    mouse: bool,
    line: Line,
    drawn: Instant,
}

/// What a picture has to pass.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// How long it took to write the last one.
    took: Duration,
}

impl Line {
    /// A picture that takes longer to write than this comes over a slow line.
    const SLOW: Duration = Duration::from_millis(60);

    fn is_slow(self) -> bool {
        self.took > Self::SLOW
    }

    /// How long the next picture that nobody asked for has to wait, so long after the last: a slow line is left free
    /// most of the time.
    fn rest(self, since: Duration) -> Duration {
        if self.is_slow() { (self.took * 10).saturating_sub(since) } else { Duration::ZERO }
    }
}

impl Screen {
    /// Takes the terminal.
    pub fn take(mouse: bool) -> io::Result<Self> {
        let guard = Guard::post()?;
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // In whatever thread: nobody draws any more, and what is said is seen.
            let _ = give_back();
            before(panic);
            std::process::exit(101);
        }));
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stdout()));
        let terminal = Terminal::new(backend)?;
        let mut screen = Self {
            terminal,
            guard: Some(guard),
            mouse,
            line: Line::default(),
            drawn: Instant::now(),
        };
        screen.enter()?;
        Ok(screen)
    }

    fn enter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(self.terminal.backend_mut(), EnterAlternateScreen, Hide)?;
        if self.mouse {
            execute!(self.terminal.backend_mut(), EnableMouseCapture)?;
        }
        Ok(())
    }

    /// The next picture is drawn as a whole.
    pub fn forget(&mut self) -> io::Result<()> {
        // Not `clear`: that asks the terminal where its cursor is, and the answer would be heard as keys.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::from((Position::ORIGIN, size)))
    }

    /// Hears the mouse, or leaves it to the terminal.
    pub fn hear_mouse(&mut self, mouse: bool) -> io::Result<()> {
        self.mouse = mouse;
        if mouse {
            execute!(self.terminal.backend_mut(), EnableMouseCapture)
        } else {
            execute!(self.terminal.backend_mut(), DisableMouseCapture)
        }
    }

    /// Draws what differs from the picture before.
    pub fn draw(&mut self, app: &mut App) -> io::Result<()> {
        let start = Instant::now();
        self.terminal.draw(|frame| app.draw(frame))?;
        self.line = Line { took: start.elapsed() };
        self.drawn = Instant::now();
        Ok(())
    }

    /// Whether the line is slow.
    pub fn is_slow(&self) -> bool {
        self.line.is_slow()
    }

    /// How long the next picture that nobody asked for has to wait.
    pub fn rest(&self) -> Duration {
        self.line.rest(self.drawn.elapsed())
    }

    /// Takes the terminal again, after others had it.
    pub fn come_back(&mut self) -> io::Result<()> {
        // What it is like now is what it is given back as.
        disable_raw_mode()?;
        self.enter()?;
        self.forget()
    }

    /// Lets the shell have the terminal until it lets us go on.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back()?;
        let ourselves = rustix::process::getpid();
        // Not TSTP: that one we hear ourselves.
        rustix::process::kill_process(ourselves, rustix::process::Signal::STOP)?;
        self.come_back()
    }
}

/// Gives it back.
fn give_back() -> io::Result<()> {
    let mut out = io::stdout();
    let written = execute!(out, DisableMouseCapture, LeaveAlternateScreen, Show);
    disable_raw_mode()?;
    written.and_then(|()| out.flush())
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone can't be given back; the guard tries once more.
        if give_back().is_ok()
            && let Some(guard) = self.guard.take()
        {
            guard.dismiss();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_is_free_for_ten_times_as_long_as_a_picture_takes() {
        let ms = Duration::from_millis;
        let quick = Line { took: ms(5) };
        assert_eq!((quick.is_slow(), quick.rest(ms(0))), (false, ms(0)));
        let slow = Line { took: ms(400) };
        assert_eq!((slow.is_slow(), slow.rest(ms(0))), (true, ms(4_000)));
        assert_eq!((slow.rest(ms(1_000)), slow.rest(ms(9_000))), (ms(3_000), ms(0)));
    }
}
