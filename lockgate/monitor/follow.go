package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// View is another place where a ledger is shown.
type View struct {
	Name   string
	Source Source
}

// Follower reads one ledger and the evidence of its decisions, again and again,
// and takes in what is new.
type Follower struct {
	Reader  *Reader
	Auditor *Auditor
	Views   []View

	done map[string]bool // evidence that was opened
	told map[string]bool // what the ledger was found to do
	kept *keeper         // nil: nothing is kept
	torn error           // why not everything could be kept
}

// NewFollower begins with nothing.
func NewFollower(r *Reader, a *Auditor, views ...View) *Follower {
	return &Follower{Reader: r, Auditor: a, Views: views, done: map[string]bool{}, told: map[string]bool{}}
}

// New are those of some names of evidence that were not opened yet.
func (f *Follower) New(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return f.done[n] })
}

// Round reads what the ledger has since the last one, opens evidence (see
// OpenAll), and compares the views. names must have been listed before: a gate
// writes evidence after its leaf is published. With an error, some may be true:
// then what could be read was taken in, and a report can be made of it.
func (f *Follower) Round(ctx context.Context, names []string, read func(name string) ([]byte, error), workers int, done func(n int)) (some bool, err error) {
	entries, findings, err := f.Reader.Next(ctx)
	if err != nil {
		return false, err
	}
	f.found(findings)
	f.Auditor.Read(entries)
	f.keeping(f.kept.read(entries, f.Reader))
	n := 0
	err = f.Auditor.open(ctx, names, read, workers, func(name string, v verified) {
		f.done[name] = true
		f.keeping(f.kept.took(name, v))
		if n++; done != nil {
			done(n)
		}
	})
	f.keeping(f.kept.flush())
	if err != nil {
		return false, err
	}
	var trouble error
	for _, v := range f.Views {
		findings, err := f.Reader.Compare(ctx, v.Name, v.Source)
		trouble = errors.Join(trouble, err)
		f.found(findings)
	}
	if f.torn != nil {
		trouble = errors.Join(trouble, fmt.Errorf("not everything could be kept; it is tried again: %w", f.torn))
	}
	return true, trouble
}

// keeping notes whether the last thing could be kept. Nothing is lost when it could
// not: the next one is written with it.
func (f *Follower) keeping(err error) { f.torn = err }

// found takes in findings about the ledger: the same lie is told at every round.
func (f *Follower) found(list []Finding) {
	for _, x := range list {
		if !f.told[x.Key()] {
			f.told[x.Key()] = true
			f.Auditor.Found(x)
			if f.kept != nil {
				f.keeping(f.kept.found(x))
			}
		}
	}
}
