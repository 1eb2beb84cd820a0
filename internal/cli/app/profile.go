package app

// Protected names the profile that is used when it is protected: what destroys asks for a name there. It is
// empty otherwise.
func (a *App) Protected() string { return "" }
