package grant

import (
	"bytes"
	"sync"

	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// keyring keeps enrolled keys parsed: parsing one costs more than verifying with
// it, and a core comes back every few seconds. What it holds is looked up by the
// very bytes in the account, so it is never out of date.
type keyring struct {
	mu   sync.Mutex
	keys map[[32]byte]parsed
}

type parsed struct {
	bytes []byte
	key   identity.Public
}

// keyringSize bounds it: a parsed key takes some 50 KB.
const keyringSize = 512

// parse reads an account's key.
func (k *keyring) parse(a store.Account) (identity.Public, error) {
	k.mu.Lock()
	p, ok := k.keys[a.Core]
	k.mu.Unlock()
	if ok && bytes.Equal(p.bytes, a.Public) {
		return p.key, nil
	}
	key, err := identity.ParsePublic(a.Public)
	if err != nil {
		return identity.Public{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = map[[32]byte]parsed{}
	}
	if _, ok := k.keys[a.Core]; !ok && len(k.keys) >= keyringSize {
		for old := range k.keys { // any one
			delete(k.keys, old)
			break
		}
	}
	k.keys[a.Core] = parsed{a.Public, key}
	return key, nil
}
