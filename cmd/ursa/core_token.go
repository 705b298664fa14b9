package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/server/api"
)

// tokenOrder asks the 'core run' of a folder for a token.
type tokenOrder struct {
	Audience string `json:"audience"`
	Nonce    string `json:"nonce,omitempty"`
	Form     string `json:"form"`
}

type tokenReply struct {
	Token []byte `json:"token"`
}

var errNoLease = errors.New("the lock holds no lease now: a token says what a lease rests on")

func coreTokenCommand() *cobra.Command {
	var dir string
	var o tokenOrder
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Get a token that says where this core was proven to be, for others to rely on",
		Long: "Asks the gate, through the 'core run' that works in DIR, for a short-lived token about the verdict behind the present lease: a JSON\n" +
			"Web Token (jwt), or an Entity Attestation Token in CBOR (eat, written as bytes). Whoever relies on it verifies it by OpenID\n" +
			"discovery at the gate's issuer; see 'ursa gate serve --issuer'.",
		Example: "  ursa core token --dir core --audience vault\n  ursa core token --dir core --audience verifier --form eat --nonce 8f3c2a91 >place.eat",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needFlags(cmd, "audience"); err != nil {
				return err
			}
			if o.Form != api.FormJWT && o.Form != api.FormEAT {
				return usagef("--form %q: use jwt or eat", o.Form)
			}
			return fetchToken(cmd, dir, o)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "the core's `DIR`, in which 'core run' works")
	cmd.Flags().StringVar(&o.Audience, "audience", "", "`NAME` of who is to rely on it; the gate must know it")
	cmd.Flags().StringVar(&o.Nonce, "nonce", "", "`TEXT` of the one who is to rely on it; eat wants 8 to 64 bytes")
	cmd.Flags().StringVar(&o.Form, "form", api.FormJWT, "jwt or eat")
	return cmd
}

func fetchToken(cmd *cobra.Command, dir string, o tokenOrder) error {
	client, err := controlClient(dir)
	if errors.Is(err, errNotRunning) {
		return fmt.Errorf("no 'ursa core run' works in %s: a token needs its lease", dir)
	}
	if err != nil {
		return err
	}
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(cmd.Context(), http.MethodPost, "http://core/token", bytes.NewReader(body))
	if err != nil {
		return err
	}
	var reply tokenReply
	if err := exchangeJSON(client, req, &reply); err != nil {
		return err
	}
	if o.Form == api.FormJWT {
		reply.Token = append(reply.Token, '\n')
	}
	_, err = cmd.OutOrStdout().Write(reply.Token)
	return err
}

// token answers on the folder's socket: whoever owns the folder may have tokens of its core.
func (a *coreAgent) token(w http.ResponseWriter, r *http.Request) {
	var o tokenOrder
	d := json.NewDecoder(io.LimitReader(r.Body, maxSmallFile))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		http.Error(w, "not a wish for a token: "+oneLine(err.Error()), http.StatusBadRequest)
		return
	}
	request, ok := a.Lease()
	if !ok {
		http.Error(w, errNoLease.Error(), http.StatusConflict)
		return
	}
	t, err := a.gates.Token(r.Context(), request, o.Audience, o.Nonce, o.Form)
	var no *core.Denied
	switch {
	case errors.As(err, &no):
		http.Error(w, oneLine(no.Error()), http.StatusForbidden)
	case err != nil:
		http.Error(w, oneLine(err.Error()), http.StatusBadGateway)
	default:
		answerJSON(w, tokenReply{Token: t})
	}
}
