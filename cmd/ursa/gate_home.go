package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/quorum"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/lockgate/token"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// The files of a gate's folder.
const (
	gateKeyName      = "gate.key"
	gatePublicName   = "gate.json"
	gateLedgerKey    = "ledger.key"  // this and the next two are wrapped to the gate's key
	gateStepKey      = "step.key"    // from which the keys of later steps follow
	gateTokenKey     = "token.key"   // signs tokens for others
	gateLedgerPublic = "ledger.json" // who signs checkpoints, for monitors
	gateLedgerDir    = "ledger"
	gateAuthorKey    = "author-1.key"     // the folder's own author, where there are no others
	gateRevokedName  = "revocations.ursa" // the signed list in force
	gateRevokedDraft = "revocations.next" // a list that lacks signatures
	gateStoreName    = "gate.db"
	gateEvidenceDir  = "evidence"
	gateMetrics      = "127.0.0.1:9443"
)

// gateHome is the folder of a gate and the store that belongs to it.
type gateHome struct{ dir, store string }

func (h *gateHome) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.dir, "dir", ".", "the gate's `DIR`, which 'gate init' made")
}

// registerStore adds the flag of commands that open the store themselves when no gate serves the folder.
func (h *gateHome) registerStore(cmd *cobra.Command) {
	h.register(cmd)
	cmd.Flags().StringVar(&h.store, "store", "", "`URL` of the PostgreSQL database that holds the store, postgres://…; default: gate.db in the folder")
}

func (h gateHome) path(name string) string { return filepath.Join(h.dir, name) }

// check says whether the folder is a gate's.
func (h gateHome) check() error {
	if _, err := os.Stat(h.path(gateKeyName)); err != nil {
		return fmt.Errorf("%s holds %w", h.dir, errNoGate)
	}
	return nil
}

// authors are those whose policies and revocations count here.
func (h gateHome) authors() (quorum.Authors, error) { return readAuthorsFile(h.path(authorsName)) }

// shared says whether several gates may serve the store.
func (h gateHome) shared() bool { return h.store != "" }

// openStore opens the store wherever it lies.
func (h gateHome) openStore(ctx context.Context) (store.Store, error) {
	if !h.shared() {
		return store.OpenSQLite(ctx, h.path(gateStoreName), store.Options{})
	}
	if !strings.HasPrefix(h.store, "postgres://") && !strings.HasPrefix(h.store, "postgresql://") {
		return nil, usagef("--store: use a URL such as postgres://gate@db.example.net/ursa; without the flag the store is a file in the folder")
	}
	return store.OpenPostgres(ctx, h.store, store.Options{})
}

// The purposes for which secrets are wrapped to the gate's key.
const (
	ledgerInfo = "ledger key of a gate's folder"
	stepInfo   = "step secret of a gate's folder"
	tokenInfo  = "token key of a gate's folder"
)

// keepSecret writes a secret so that only the gate's key opens it.
func (h gateHome) keepSecret(name, info string, gate identity.Public, secret []byte) error {
	wrapped, err := identity.Wrap(gate, []byte(info), secret)
	if err != nil {
		return err
	}
	return writeWhole(h.path(name), wrapped, 0o600)
}

func (h gateHome) openSecret(name, info string, gate *identity.Private) ([]byte, error) {
	wrapped, err := readLimited(h.path(name), maxSmallFile)
	if err != nil {
		return nil, err
	}
	secret, err := gate.Unwrap([]byte(info), wrapped)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.path(name), err)
	}
	return secret, nil
}

// secret is openSecret for what an older folder may lack: it is made then.
func (h gateHome) secret(name, info string, gate *identity.Private, fresh func() ([]byte, error)) ([]byte, error) {
	b, err := h.openSecret(name, info, gate)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if b, err = fresh(); err != nil {
		return nil, err
	}
	return b, h.keepSecret(name, info, gate.Public(), b)
}

// ledgerKey signs the ledger's checkpoints.
func (h gateHome) ledgerKey(gate *identity.Private) (*ledger.Key, error) {
	text, err := h.openSecret(gateLedgerKey, ledgerInfo, gate)
	if err != nil {
		return nil, err
	}
	return ledger.ParseKey(text)
}

// stepSecret is shared by all gates with one key: any of them releases the later steps of a lease.
func (h gateHome) stepSecret(gate *identity.Private) (secret [32]byte, err error) {
	b, err := h.secret(gateStepKey, stepInfo, gate, func() ([]byte, error) {
		seed, err := rand32()
		return seed[:], err
	})
	if err != nil {
		return secret, err
	}
	if len(b) != len(secret) {
		return secret, fmt.Errorf("%s: a step secret has %d bytes", h.path(gateStepKey), len(secret))
	}
	return [32]byte(b), nil
}

func rand32() (b [32]byte, err error) {
	_, err = rand.Read(b[:])
	return b, err
}

// tokenKey signs tokens.
func (h gateHome) tokenKey(gate *identity.Private) (*token.Key, error) {
	text, err := h.secret(gateTokenKey, tokenInfo, gate, func() ([]byte, error) {
		k, err := token.NewKey(token.ES256, nil)
		if err != nil {
			return nil, err
		}
		return k.EncodePEM()
	})
	if err != nil {
		return nil, err
	}
	return token.ParsePEM(text)
}

// adoptAuthors copies a file of authors into the folder, or makes an author of the folder's own.
func (h gateHome) adoptAuthors(file string, protect identity.Protector) error {
	if file == "" {
		_, err := makeAuthors(h.dir, 1, 1, protect)
		return err
	}
	if _, err := readAuthorsFile(file); err != nil {
		return err
	}
	data, err := readLimited(file, maxSmallFile)
	if err != nil {
		return err
	}
	return writeWhole(h.path(authorsName), data, 0o644)
}

// authorKeys loads the keys that sign: the named files, or the folder's own author.
func (h gateHome) authorKeys(files []string, protect identity.Protector) ([]*identity.Private, error) {
	if len(files) == 0 {
		if _, err := os.Stat(h.path(gateAuthorKey)); err != nil {
			return nil, usagef("this gate's authors keep their keys elsewhere: name one with --key FILE")
		}
		files = []string{h.path(gateAuthorKey)}
	}
	var out []*identity.Private
	for _, file := range files {
		k, err := identity.LoadKey(file, protect)
		if err != nil {
			return nil, err
		}
		if k.Public().Role() != identity.RolePolicy {
			return nil, fmt.Errorf("%s is the key of a %s: the key of an author is needed", file, k.Public().Role())
		}
		out = append(out, k)
	}
	return out, nil
}

// gateAnswer is what became of an order.
type gateAnswer struct {
	Cores  []coreAccount `json:"cores"`
	Fallen []string      `json:"fallen,omitempty"` // ids of cores whose leases do not stand under the new list of revocations
	Wallet *walletState  `json:"wallet,omitempty"`
}

// units counts for people.
func unitsOf(n lock.Units) string {
	var b bytes.Buffer
	digits := fmt.Sprint(uint64(n))
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(d)
	}
	return b.String()
}
