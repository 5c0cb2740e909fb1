"""Online adaptation: the mask decoder learns from clicks and accepted masks, beside a control arm."""
