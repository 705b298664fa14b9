package box

import (
	"context"

	"github.com/ursa-virtual/ursa/beacon/prober"
)

// replayer proves once and answers every later challenge with that proof: the attack of the same name.
type replayer struct {
	*prober.Committee
	proof []byte
	hash  [32]byte
}

// Prove implements core.Prover.
func (r *replayer) Prove(ctx context.Context, challenge []byte, previous [32]byte) ([]byte, [32]byte, error) {
	if r.proof != nil {
		return r.proof, r.hash, nil
	}
	var err error
	r.proof, r.hash, err = r.Committee.Prove(ctx, challenge, previous)
	return r.proof, r.hash, err
}
