package box

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// ErrNoAnswer reports a committee of which no beacon answered.
var ErrNoAnswer = errors.New("no beacon of the committee answered")

// prover makes proofs by asking the committee; it is what the core's agent calls.
type prover struct {
	config prober.Config // PreviousProof is filled in for each run
	key    *identity.Private
	result []byte // the core's attestation result

	mu       sync.Mutex
	failures []prober.Failure // of the last run
}

// Prove implements core.Prover.
func (p *prover) Prove(ctx context.Context, challenge []byte, previous [32]byte) ([]byte, [32]byte, error) {
	config := p.config
	config.PreviousProof = previous
	outcome, err := prober.Run(ctx, config, challenge)
	if err != nil {
		return nil, [32]byte{}, err
	}
	p.mu.Lock()
	p.failures = outcome.Failures
	p.mu.Unlock()
	if len(outcome.Answers) == 0 {
		return nil, [32]byte{}, fmt.Errorf("%w%s", ErrNoAnswer, firstFailure(outcome.Failures))
	}
	envelope, err := identity.DecodeEnvelope(challenge, statement.MaxChallengeSize)
	if err != nil {
		return nil, [32]byte{}, err
	}
	return outcome.Proof(envelope, p.result, previous, time.Now().UnixNano()).Seal(p.key)
}

// silent returns the beacons that gave no statement in the last run.
func (p *prover) silent() []prober.Failure {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failures
}

func firstFailure(failures []prober.Failure) string {
	if len(failures) == 0 {
		return ""
	}
	f := failures[0]
	return fmt.Sprintf(": %s: %s", f.Place, strings.TrimSpace(f.Err.Error()))
}

// replayer proves once and answers every later challenge with that proof: the attack of the same name.
type replayer struct {
	*prover
	proof []byte
	hash  [32]byte
}

// Prove implements core.Prover.
func (r *replayer) Prove(ctx context.Context, challenge []byte, previous [32]byte) ([]byte, [32]byte, error) {
	if r.proof != nil {
		return r.proof, r.hash, nil
	}
	var err error
	r.proof, r.hash, err = r.prover.Prove(ctx, challenge, previous)
	return r.proof, r.hash, err
}
