package prober

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// ErrNoAnswer reports a committee of which no beacon answered.
var ErrNoAnswer = errors.New("no beacon of the committee answered")

// Committee makes proofs: it asks every beacon of a challenge's committee and seals what they answered. It is what a core's
// agent proves with. Prepare must be set; Prove may be called once at a time.
type Committee struct {
	// Prepare says with what to ask, anew for every proof, so that a new directory or attestation result needs no restart.
	// PreviousProof is filled in.
	Prepare func(ctx context.Context) (Config, error)

	mu   sync.Mutex // guards last
	last Outcome
}

// Prove answers an encoded challenge envelope with a proof that names the core's previous one by its hash, and returns the
// proof's own hash with it.
func (c *Committee) Prove(ctx context.Context, challenge []byte, previous [32]byte) (proof []byte, hash [32]byte, err error) {
	cfg, err := c.Prepare(ctx)
	if err != nil {
		return nil, hash, err
	}
	cfg.PreviousProof = previous
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, hash, err
	}
	out, err := Run(ctx, cfg, challenge)
	if err != nil {
		return nil, hash, err
	}
	c.mu.Lock()
	c.last = out
	c.mu.Unlock()
	if len(out.Answers) == 0 {
		return nil, hash, nobody(out.Failures)
	}
	envelope, err := identity.DecodeEnvelope(challenge, statement.MaxChallengeSize)
	if err != nil {
		return nil, hash, err
	}
	return out.Proof(envelope, cfg.Attestation, cfg.PreviousProof, cfg.Now().UnixNano()).Seal(cfg.Key)
}

// Last is what the committee of the newest proof answered.
func (c *Committee) Last() Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// nobody names the first of the reasons: most often all are the same.
func nobody(failures []Failure) error {
	if len(failures) == 0 {
		return ErrNoAnswer
	}
	return fmt.Errorf("%w; %s: %w", ErrNoAnswer, failures[0].Place, failures[0].Err)
}
