// Package receiver is the asking half of a beacon: on a signed instruction it measures other beacons, as a core would, while the beacon
// goes on serving.
//
// What it believes: the instruction is a gate's challenge like any other, signed by a gate that the directory lists and addressed to this
// receiver's own core key. Nothing else can make it send a packet, and it measures for one instruction at a time.
//
// What it promises: what it returns is a proof like any other, countersigned statements included, so that whoever gets it verifies it
// with the same function as the gate. It keeps nothing.
//
// What an attacker may do: replay an instruction while it lives, which costs one more exchange; flood the door, which costs a
// signature check for each request and an answer of "busy".
package receiver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// What a receiver may answer instead of a proof.
var (
	ErrBusy     = errors.New("receiver is measuring for another instruction")
	ErrNoAnswer = errors.New("no beacon of the instruction answered")
)

// Receiver measures on instruction. It is safe for concurrent use.
type Receiver struct {
	key  identity.Public
	next func(context.Context) (prober.Config, error)
	card []byte
	busy sync.Mutex
}

// New makes a receiver that measures with the configuration: its key is the receiver's own core key, its socket is not the beacon's.
func New(cfg prober.Config) *Receiver {
	return Follow(cfg.Key.Public(), func(context.Context) (prober.Config, error) { return cfg, nil })
}

// Follow makes a receiver that asks for its configuration before each instruction, because directories and attestation results are
// renewed. next is called by one goroutine at a time; its configuration's key must be the one given here.
func Follow(key identity.Public, next func(context.Context) (prober.Config, error)) *Receiver {
	return &Receiver{key: key, next: next}
}

// Introduce gives the receiver the card that its door shows; call it before the door opens.
func (r *Receiver) Introduce(card []byte) { r.card = card }

// Key returns the receiver's public key.
func (r *Receiver) Key() identity.Public { return r.key }

// Measure runs the exchanges that an encoded challenge asks for and returns the encoded proof. It refuses what prober.Run refuses, a
// second instruction at the same time (ErrBusy), and gives ErrNoAnswer when no statement was made.
func (r *Receiver) Measure(ctx context.Context, instruction []byte) ([]byte, error) {
	if !r.busy.TryLock() {
		return nil, ErrBusy
	}
	defer r.busy.Unlock()
	cfg, err := r.next(ctx)
	if err != nil {
		return nil, err
	}
	out, err := prober.Run(ctx, cfg, instruction)
	if err != nil {
		return nil, err
	}
	if len(out.Answers) == 0 {
		if len(out.Failures) > 0 {
			return nil, fmt.Errorf("%w: %s: %w", ErrNoAnswer, out.Failures[0].Place, out.Failures[0].Err)
		}
		return nil, ErrNoAnswer
	}
	envelope, err := identity.DecodeEnvelope(instruction, statement.MaxChallengeSize)
	if err != nil {
		return nil, err
	}
	now := time.Now
	if cfg.Now != nil {
		now = cfg.Now
	}
	// Calibration does not chain proofs: a receiver is asked by many and remembers nothing.
	proof, _, err := out.Proof(envelope, cfg.Attestation, statement.FirstProof(cfg.Key.ID()), now().UnixNano()).Seal(cfg.Key)
	return proof, err
}
