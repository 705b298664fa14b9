package receiver

import (
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// CardType is the signature context of a receiver's card.
const CardType identity.ObjectType = "receiver-card"

// maxCard is more than an envelope about one public key takes.
const maxCard = 16 << 10

// ErrCard reports a card that no beacon of the directory vouches for.
var ErrCard = errors.New("no beacon of the directory vouches for this receiver")

// Card is what a beacon says of its receiver: its public key, signed by the beacon. It binds the key to the beacon; that the key also
// stands beside the beacon only a measurement shows.
func Card(beacon *identity.Private, receiver identity.Public) ([]byte, error) {
	key, err := receiver.MarshalBinary()
	if err != nil {
		return nil, err
	}
	e, err := identity.Seal(beacon, CardType, key)
	if err != nil {
		return nil, err
	}
	return e.Encode()
}

// OpenCard verifies a card against a verified directory. Its checks, all ErrCard: the envelope is canonical; its signer is a beacon of
// the directory; the signature is that beacon's; what it signed is the key of a core.
func OpenCard(card []byte, d *directory.Directory) (beacon identity.ID, receiver identity.Public, err error) {
	e, err := identity.DecodeEnvelope(card, maxCard)
	if err != nil {
		return beacon, receiver, fmt.Errorf("%w: %w", ErrCard, err)
	}
	b, listed := d.Lookup(e.Signer)
	if !listed {
		return beacon, receiver, fmt.Errorf("%w: %s signed its card and is not listed", ErrCard, e.Signer.Short())
	}
	payload, err := e.Open(b.Key, CardType)
	if err != nil {
		return beacon, receiver, fmt.Errorf("%w: %w", ErrCard, err)
	}
	if receiver, err = identity.ParsePublic(payload); err != nil {
		return beacon, receiver, fmt.Errorf("%w: %w", ErrCard, err)
	}
	if receiver.Role() != identity.RoleCore {
		return beacon, receiver, fmt.Errorf("%w: it is the key of a %s, a receiver has that of a core", ErrCard, receiver.Role())
	}
	return e.Signer, receiver, nil
}
