package monitor

import (
	"context"
	"errors"
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
	if err := f.Auditor.OpenAll(ctx, names, read, workers, done); err != nil {
		return false, err
	}
	for _, n := range names {
		f.done[n] = true
	}
	var trouble error
	for _, v := range f.Views {
		findings, err := f.Reader.Compare(ctx, v.Name, v.Source)
		trouble = errors.Join(trouble, err)
		f.found(findings)
	}
	return true, trouble
}

// found takes in findings about the ledger: the same lie is told at every round.
func (f *Follower) found(list []Finding) {
	for _, x := range list {
		if !f.told[x.Key()] {
			f.told[x.Key()] = true
			f.Auditor.Found(x)
		}
	}
}
