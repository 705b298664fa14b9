package mesh

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"
)

// Task is one exchange: From measures To. At counts from the start of the period. Beacons are numbers below Config.Beacons; whoever
// hands in the plan keeps the list of ids that they index, and should sort it.
type Task struct {
	At       time.Duration
	From, To int
}

// Config describes a period. Every field is required.
type Config struct {
	Beacons   int           // 2 to MaxBeacons
	Period    time.Duration // in which every ordered pair is measured once, at most a year
	Exchange  time.Duration // the longest that one exchange takes, with its handshake
	PerMinute int           // exchanges that a beacon may take part in within any minute, as asker and asked together
	Seed      [32]byte
}

// MaxBeacons limits a plan to 16.8 million ordered pairs.
const MaxBeacons = 4096

const maxPeriod = 366 * 24 * time.Hour

// What a Config may be refused for.
var (
	ErrBeacons = errors.New("number of beacons out of range")
	ErrPeriod  = errors.New("period out of range")
	ErrBudget  = errors.New("budget too small for the period")
)

// Plan is a checked Config with its shuffles. It is safe for concurrent use.
type Plan struct {
	c     Config
	seats int           // beacons, made even by an empty seat
	slot  time.Duration // length of a round
	names []int         // seat → beacon
	order []int         // round → place in the tournament; the second half of the places asks the other way round
}

// New makes a plan.
func New(c Config) (*Plan, error) {
	if c.Beacons < 2 || c.Beacons > MaxBeacons {
		return nil, fmt.Errorf("%w: %d is not within 2..%d", ErrBeacons, c.Beacons, MaxBeacons)
	}
	if c.Period <= 0 || c.Period > maxPeriod || c.Exchange <= 0 {
		return nil, fmt.Errorf("%w: a period of %v with exchanges of %v; both must be positive and the period at most %v", ErrPeriod, c.Period, c.Exchange, maxPeriod)
	}
	p := &Plan{c: c, seats: c.Beacons + c.Beacons%2}
	rounds := 2 * (p.seats - 1)
	p.slot = c.Period / time.Duration(rounds)
	if p.slot < c.Exchange {
		return nil, fmt.Errorf("%w: %d rounds of %v each need %v, the period is %v", ErrPeriod, rounds, c.Exchange, time.Duration(rounds)*c.Exchange, c.Period)
	}
	if most := p.busiest(); most > c.PerMinute {
		return nil, fmt.Errorf("%w: %d exchanges within a minute, at most %d are allowed; lengthen the period", ErrBudget, most, c.PerMinute)
	}
	rng := p.random("shuffle", 0)
	p.names, p.order = rng.Perm(p.seats), rng.Perm(rounds)
	return p, nil
}

// busiest returns how many exchanges of one beacon can start within a minute: one in each round, each start within the first
// slot - exchange of its round, so k starts span at least (k-1)·slot - (slot - exchange).
func (p *Plan) busiest() int {
	return int((time.Minute-1+p.slot-p.c.Exchange)/p.slot) + 1
}

// random returns a source of its own for each purpose and round, derived from the seed.
func (p *Plan) random(purpose string, round int) *rand.Rand {
	h := sha256.New()
	h.Write([]byte("ursa/1 mesh "))
	h.Write(p.c.Seed[:])
	h.Write(binary.BigEndian.AppendUint64([]byte(purpose), uint64(round)))
	return rand.New(rand.NewChaCha8([32]byte(h.Sum(nil))))
}

// Rounds returns the number of rounds.
func (p *Plan) Rounds() int { return len(p.order) }

// Slot returns the length of a round.
func (p *Plan) Slot() time.Duration { return p.slot }

// Pairs returns the number of ordered pairs, which is the number of tasks.
func (p *Plan) Pairs() int { return p.c.Beacons * (p.c.Beacons - 1) }

// Round returns the tasks of one round in the order of their start; each beacon occurs in at most one of them. An unknown round is
// empty.
//
// The circle method (Kirkman 1847): the last seat stays, the others turn by one seat each turn and face each other, so that in
// seats-1 turns everybody has met everybody once. Each turn occurs twice, the second time with asker and asked exchanged.
func (p *Plan) Round(k int) []Task {
	if k < 0 || k >= len(p.order) {
		return nil
	}
	ring := p.seats - 1
	turn, back := p.order[k]%ring, p.order[k] >= ring
	sides, starts := p.random("sides", turn), p.random("starts", k)
	tasks := make([]Task, 0, p.seats/2)
	for i := range p.seats / 2 {
		a, b := p.names[(turn+i)%ring], p.names[(turn+ring-i)%ring]
		if i == 0 {
			b = p.names[ring]
		}
		if (sides.Uint64()&1 == 1) != back {
			a, b = b, a
		}
		at := time.Duration(k)*p.slot + time.Duration(starts.Int64N(int64(p.slot-p.c.Exchange)+1))
		if a < p.c.Beacons && b < p.c.Beacons { // else one seat is the empty one
			tasks = append(tasks, Task{at, a, b})
		}
	}
	slices.SortFunc(tasks, func(x, y Task) int { return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.From, y.From)) })
	return tasks
}

// All returns every task of the period in the order of start.
func (p *Plan) All() iter.Seq[Task] {
	return func(yield func(Task) bool) {
		for k := range p.order {
			for _, t := range p.Round(k) {
				if !yield(t) {
					return
				}
			}
		}
	}
}
