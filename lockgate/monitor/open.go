package monitor

import (
	"context"
	"errors"
	"sync"
)

// ErrSkip is an answer of a read function for evidence that is not for this
// auditor: it is left out, and counted as unopened.
var ErrSkip = errors.New("monitor: not for this auditor")

// OpenAll opens the evidence of many decisions in their order: it is verified by
// so many workers at once, and taken in one after the other. read is called by
// the workers; ErrSkip leaves a file out, any other error of it is a finding.
// done, when not nil, hears after each how many there were.
func (a *Auditor) OpenAll(ctx context.Context, names []string, read func(name string) ([]byte, error), workers int, done func(n int)) error {
	n := 0
	return a.open(ctx, names, read, workers, func(string, verified) {
		if n++; done != nil {
			done(n)
		}
	})
}

// open is OpenAll that tells what came of each.
func (a *Auditor) open(ctx context.Context, names []string, read func(name string) ([]byte, error), workers int, each func(name string, v verified)) error {
	type job struct {
		name string
		out  chan verified
	}
	workers = max(workers, 1)
	todo, order := make(chan job), make(chan job, 2*workers)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for j := range todo {
				file, err := read(j.name)
				if err != nil {
					j.out <- verified{err: err}
					continue
				}
				j.out <- a.o.verify(a.o.Trust, file)
			}
		})
	}
	go func() {
		defer close(order)
		defer close(todo)
		for _, name := range names {
			j := job{name, make(chan verified, 1)}
			select {
			case <-ctx.Done():
				return
			case order <- j:
			}
			select {
			case <-ctx.Done():
				return
			case todo <- j:
			}
		}
	}()
	stopped := false // what comes after the first that is left out is left out, too
	for j := range order {
		select {
		case <-ctx.Done():
			stopped = true
		case v := <-j.out:
			if stopped {
				continue
			}
			if !errors.Is(v.err, ErrSkip) {
				a.take(j.name, v)
			}
			each(j.name, v)
		}
	}
	wait.Wait()
	return ctx.Err()
}
