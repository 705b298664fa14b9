package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ursa-virtual/ursa/simnet/experiment"
)

// simBuild names the build: the revision it was made from, or, where that is unknown or was changed, the program's own bytes.
func simBuild() (string, error) {
	if info, ok := debug.ReadBuildInfo(); ok {
		set := map[string]string{}
		for _, s := range info.Settings {
			set[s.Key] = s.Value
		}
		if rev := set["vcs.revision"]; len(rev) >= 12 && set["vcs.modified"] == "false" {
			return "rev-" + rev[:12], nil
		}
	}
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("which build this is cannot be found out: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("which build this is cannot be found out: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("which build this is cannot be found out: %w", err)
	}
	return "exe-" + hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// simProgress shows a bar with rate and remaining time on a terminal, and a plain line every five seconds elsewhere, for what takes longer
// than a second.
type simProgress struct {
	out         io.Writer
	name        string
	begin, last time.Time
	pool        *mpb.Progress
	bar         *mpb.Bar
	screen      bool
	at          atomic.Pointer[experiment.Progress] // the bar is drawn by a goroutine of its own
}

func newSimProgress(out io.Writer, name string) *simProgress {
	p := &simProgress{out: out, name: name, begin: time.Now()}
	if file, ok := out.(*os.File); ok {
		if info, err := file.Stat(); err == nil {
			p.screen = info.Mode()&os.ModeCharDevice != 0
		}
	}
	return p
}

func (p *simProgress) tell(at experiment.Progress) {
	p.at.Store(&at)
	now := time.Now()
	if now.Sub(p.begin) < time.Second {
		return
	}
	if !p.screen {
		if now.Sub(p.last) >= 5*time.Second {
			fmt.Fprintln(p.out, simProgressLine(p.name, at, now.Sub(p.begin)))
			p.last = now
		}
		return
	}
	if p.bar == nil {
		p.pool = mpb.New(mpb.WithOutput(p.out), mpb.WithWidth(60))
		p.bar = p.pool.AddBar(at.Total+1, mpb.BarRemoveOnComplete(), mpb.PrependDecorators(decor.Name(p.name+" "), decor.CountersNoUnit("%d / %d")),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return simRate(*p.at.Load(), time.Since(p.begin)) }, decor.WC{W: 30})))
	}
	p.bar.SetCurrent(at.Done)
}

// simProgressLine says how far a run is.
func simProgressLine(name string, at experiment.Progress, since time.Duration) string {
	return fmt.Sprintf("%s: %d of %d trials%s", name, at.Done, at.Total, simRate(at, since))
}

// simRate is the rate since the run began, not counting what was there before, and what is left at that rate.
func simRate(at experiment.Progress, since time.Duration) string {
	done := at.Done - at.Resumed
	if done <= 0 || since <= 0 {
		return ""
	}
	rate := float64(done) / since.Seconds()
	left := time.Duration(float64(at.Total-at.Done) / rate * float64(time.Second))
	return fmt.Sprintf(", %.3g a second, %v left", rate, left.Round(time.Second))
}

// stop clears the bar.
func (p *simProgress) stop() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.pool.Wait()
	}
}
