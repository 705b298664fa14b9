package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// A gate's store has one writer. So what a defender orders goes to the gate that serves the folder, over the folder's socket, and to
// the store itself only when no gate serves it; both ways run the same function.

// What a defender may order.
const (
	orderEnrol      = "enrol"
	orderList       = "list"
	orderEnable     = "enable" // one core that was switched off as a copy
	orderReload     = "reload" // directory, policy and revocations, of a gate that serves
	orderWalletShow = "wallet" // show it
	orderDeposit    = "deposit"
	orderTopUp      = "top-up"
)

// gateOrder is one order; which fields count depends on Do.
type gateOrder struct {
	Do        string     `json:"do"`
	Core      publicFile `json:"core,omitzero"`
	Chip      hexString  `json:"chip,omitempty"`
	Platform  string     `json:"platform,omitempty"`
	Tenant    string     `json:"tenant,omitempty"`
	Budget    uint64     `json:"budget,omitempty"`
	Prefix    string     `json:"prefix,omitempty"` // of a core's id
	Units     uint64     `json:"units,omitempty"`
	Deposit   hexString  `json:"deposit,omitempty"`       // id
	NotBefore int64      `json:"not_before_ns,omitempty"` // Unix ns
}

// The refusals of an order.
var (
	errOrder     = errors.New("no such order")
	errNoCore    = errors.New("no enrolled core has an id that begins so: 'ursa gate cores' lists them")
	errManyCores = errors.New("more than one core's id begins so: give more digits")
	errNoGate    = errors.New("no gate: 'ursa gate init' makes one")
)

// askGate carries an order to where the store is open.
func askGate(ctx context.Context, home gateHome, o gateOrder) (gateAnswer, error) {
	var a gateAnswer
	if err := home.check(); err != nil {
		return a, err
	}
	client, err := controlClient(home.dir)
	if errors.Is(err, errNotRunning) {
		return orderOffline(ctx, home, o)
	}
	if err != nil {
		return a, err
	}
	body, err := json.Marshal(o)
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gate/order", bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	return a, exchangeJSON(client, req, &a)
}

// orderOffline opens the store of a folder that no gate serves.
func orderOffline(ctx context.Context, home gateHome, o gateOrder) (gateAnswer, error) {
	if o.Do == orderReload {
		return gateAnswer{}, errNotRunning
	}
	release, err := claimHome(home.dir, "ursa gate")
	if err != nil {
		return gateAnswer{}, err
	}
	defer release()
	st, err := home.openStore(ctx)
	if err != nil {
		return gateAnswer{}, err
	}
	// Who is revoked is shown as far as the list can be verified.
	list, err := readRevocations(home)
	if err != nil {
		list = revoke.List{}
	}
	d := desk{store: st, revoked: list, await: func(context.Context, uint64) error { return nil }}
	a, err := d.fulfil(ctx, o)
	return a, errors.Join(err, st.Close())
}

// desk is where orders are carried out: an open store, the list of revocations in force, and how to wait until the ledger shows a leaf.
type desk struct {
	store   store.Store
	revoked revoke.List
	await   func(ctx context.Context, leaf uint64) error
}

// fulfil does what a defender ordered.
func (d desk) fulfil(ctx context.Context, o gateOrder) (gateAnswer, error) {
	var out gateAnswer
	switch o.Do {
	case orderEnrol:
		a, err := d.enrol(ctx, o)
		if err != nil {
			return out, err
		}
		out.Cores = []coreAccount{d.line(a)}
		return out, nil
	case orderList:
		out.Cores = []coreAccount{}
		for a, err := range d.store.Accounts(ctx) {
			if err != nil {
				return out, err
			}
			if strings.HasPrefix(identity.ID(a.Core).String(), o.Prefix) {
				out.Cores = append(out.Cores, d.line(a))
			}
		}
		return out, nil
	}
	a, err := d.find(ctx, o.Prefix)
	if err != nil {
		return out, err
	}
	switch o.Do {
	case orderEnable:
		if err := d.store.Enable(ctx, a.Core, true); err != nil {
			return out, err
		}
		a.Enabled = true
		out.Cores = []coreAccount{d.line(a)}
		return out, nil
	case orderWalletShow, orderDeposit, orderTopUp:
		out.Wallet, err = wallet(ctx, d.store, a, o, d.await)
		return out, err
	}
	return out, fmt.Errorf("%w: %q", errOrder, o.Do)
}

func (d desk) enrol(ctx context.Context, o gateOrder) (store.Account, error) {
	if err := o.Core.check("the enrolment", identity.RoleCore); err != nil {
		return store.Account{}, err
	}
	if len(o.Chip) != 32 {
		return store.Account{}, fmt.Errorf("%w: a chip has 32 bytes", errOrder)
	}
	public, err := o.Core.Key.MarshalBinary()
	if err != nil {
		return store.Account{}, err
	}
	err = d.store.Enrol(ctx, store.Account{Core: o.Core.ID, Chip: [32]byte(o.Chip), Tenant: o.Tenant, Platform: o.Platform, Public: public, Enabled: true, Budget: lock.Units(o.Budget)})
	if err != nil {
		return store.Account{}, err
	}
	return d.store.Account(ctx, o.Core.ID)
}

// find finds the one enrolled core whose id begins so.
func (d desk) find(ctx context.Context, prefix string) (store.Account, error) {
	var found store.Account
	n := 0
	for a, err := range d.store.Accounts(ctx) {
		if err != nil {
			return found, err
		}
		if strings.HasPrefix(identity.ID(a.Core).String(), prefix) {
			found = a
			n++
		}
	}
	switch {
	case n == 0:
		return found, fmt.Errorf("%s: %w", prefix, errNoCore)
	case n > 1:
		return found, fmt.Errorf("%s: %w", prefix, errManyCores)
	}
	return found, nil
}

// line is an account for people.
func (d desk) line(a store.Account) coreAccount {
	why, off := grant.Switched(d.revoked, a, [32]byte{})
	if !a.Enabled {
		why, off = "switched off: a copy of it was in use", true
	}
	return coreAccount{Core: a.Core, Chip: a.Chip[:], Tenant: a.Tenant, Platform: a.Platform, Enabled: !off, Off: why, Budget: uint64(a.Budget),
		Spent: uint64(a.Spent), Granted: uint64(a.Granted), Used: uint64(a.Used), LastLease: rfc3339(a.LastAtNS)}
}

// checkPrefix wants enough digits of a core's id to be sure.
func checkPrefix(core string) error {
	if len(core) < 8 {
		return usagef("%q: give eight digits of the core's id or more; 'ursa gate cores' lists them", core)
	}
	return nil
}

func lowerDigits(id string) string { return strings.ToLower(id) }
