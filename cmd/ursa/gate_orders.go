package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// A gate's store has one writer. So what a defender orders goes to the gate that serves the folder, over the folder's socket, and to
// the store itself only when no gate serves it; both ways run the same function.

// What a defender may order.
const (
	orderEnrol   = "enrol"
	orderList    = "list"
	orderRevoke  = "revoke"
	orderRestore = "restore"
	orderReload  = "reload" // directory and policy, of a gate that serves
)

// gateOrder is one order; which fields count depends on Do.
type gateOrder struct {
	Do       string     `json:"do"`
	Core     publicFile `json:"core,omitzero"`
	Chip     hexString  `json:"chip,omitempty"`
	Platform string     `json:"platform,omitempty"`
	Tenant   string     `json:"tenant,omitempty"`
	Budget   uint64     `json:"budget,omitempty"`
	Prefix   string     `json:"prefix,omitempty"` // of a core's id
}

// The refusals of an order.
var (
	errOrder     = errors.New("no such order")
	errNoCore    = errors.New("no enrolled core has an id that begins so: 'ursa gate cores' lists them")
	errManyCores = errors.New("more than one core's id begins so: give more digits")
	errNoGate    = errors.New("no gate: 'ursa gate init' makes one")
)

// askGate carries an order to where the store is open.
func askGate(ctx context.Context, dir string, o gateOrder) ([]coreAccount, error) {
	if _, err := os.Stat(filepath.Join(dir, gateKeyName)); err != nil {
		return nil, fmt.Errorf("%s holds %w", dir, errNoGate)
	}
	client, err := controlClient(dir)
	if errors.Is(err, errNotRunning) {
		return orderOffline(ctx, dir, o)
	}
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gate/order", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	var list []coreAccount
	return list, exchangeJSON(client, req, &list)
}

// orderOffline opens the store of a folder that no gate serves.
func orderOffline(ctx context.Context, dir string, o gateOrder) ([]coreAccount, error) {
	if o.Do == orderReload {
		return nil, errNotRunning
	}
	release, err := claimHome(dir, "ursa gate")
	if err != nil {
		return nil, err
	}
	defer release()
	st, err := store.OpenSQLite(ctx, filepath.Join(dir, gateStoreName), store.Options{})
	if err != nil {
		return nil, err
	}
	list, err := fulfil(ctx, dir, st, o)
	return list, errors.Join(err, st.Close())
}

// fulfil does what a defender ordered, on an open store.
func fulfil(ctx context.Context, dir string, st store.Store, o gateOrder) ([]coreAccount, error) {
	switch o.Do {
	case orderEnrol:
		return enrolCore(ctx, dir, st, o)
	case orderRevoke, orderRestore:
		id, err := findCore(dir, o.Prefix)
		if err != nil {
			return nil, err
		}
		if err := st.Enable(ctx, id, o.Do == orderRestore); err != nil {
			return nil, err
		}
		return accounts(ctx, st, []identity.ID{id})
	case orderList:
		ids, err := enrolledCores(dir)
		if err != nil {
			return nil, err
		}
		return accounts(ctx, st, ids)
	}
	return nil, fmt.Errorf("%w: %q", errOrder, o.Do)
}

func enrolCore(ctx context.Context, dir string, st store.Store, o gateOrder) ([]coreAccount, error) {
	if err := o.Core.check("the enrolment", identity.RoleCore); err != nil {
		return nil, err
	}
	if len(o.Chip) != 32 {
		return nil, fmt.Errorf("%w: a chip has 32 bytes", errOrder)
	}
	public, err := o.Core.Key.MarshalBinary()
	if err != nil {
		return nil, err
	}
	err = st.Enrol(ctx, store.Account{Core: o.Core.ID, Chip: [32]byte(o.Chip), Tenant: o.Tenant, Platform: o.Platform, Public: public, Enabled: true, Budget: lock.Units(o.Budget)})
	if err != nil {
		return nil, err
	}
	list := filepath.Join(dir, gateCoresDir)
	if err := newHome(list); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(list, o.Core.ID.String()+".json"), o.Core, 0o600); err != nil {
		return nil, err
	}
	return accounts(ctx, st, []identity.ID{o.Core.ID})
}

// enrolledCores lists the ids in the folder, ascending.
func enrolledCores(dir string) ([]identity.ID, error) {
	entries, err := os.ReadDir(filepath.Join(dir, gateCoresDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []identity.ID
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		id, err := identity.ParseID(name)
		if err != nil {
			continue // not one of ours
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, identity.ID.Compare)
	return ids, nil
}

// findCore finds the one enrolled core whose id begins so.
func findCore(dir, prefix string) (identity.ID, error) {
	ids, err := enrolledCores(dir)
	if err != nil {
		return identity.ID{}, err
	}
	var found []identity.ID
	for _, id := range ids {
		if strings.HasPrefix(id.String(), prefix) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return identity.ID{}, fmt.Errorf("%s: %w", prefix, errNoCore)
	case 1:
		return found[0], nil
	}
	return identity.ID{}, fmt.Errorf("%s: %w", prefix, errManyCores)
}

func accounts(ctx context.Context, st store.Store, ids []identity.ID) ([]coreAccount, error) {
	list := []coreAccount{}
	for _, id := range ids {
		a, err := st.Account(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("core %s: %w", id.Short(), err)
		}
		list = append(list, coreAccount{Core: id, Chip: a.Chip[:], Tenant: a.Tenant, Platform: a.Platform, Enabled: a.Enabled, Budget: uint64(a.Budget),
			Spent: uint64(a.Spent), Granted: uint64(a.Granted), Used: uint64(a.Used), LastLease: rfc3339(a.LastAtNS)})
	}
	return list, nil
}
